/* The parts of the server. Internal to bkd/serve. */
#ifndef BKD_SERVE_INSIDE_H
#define BKD_SERVE_INSIDE_H

#include <microhttpd.h>
#include <openssl/evp.h>

#include "bkd/serve/repo.h"
#include "bkd/serve/serve.h"

#define SERVE_VERSION "1"

struct serve {
    const struct serve_config *config;
    const struct world *world;
    struct serve_repo *repos[SERVE_REPOSITORIES_MAX];
    struct MHD_Daemon *daemon;
    bool client_certificates;
    _Atomic uint64_t memory; /* bytes that bodies take */
    atomic_uint running;     /* requests, and listings that are being written */
    atomic_bool stopping;
};

/* One request from its head to its end. */
struct serve_exchange {
    struct serve *s;
    const struct serve_principal *who;
    enum serve_role role;
    struct serve_request q;
    struct serve_repo *repo;
    bool own, refused;
    unsigned status; /* of a refusal that waits for the end of the body */
    struct bk_error why;
    uint8_t *body;
    uint64_t reserved; /* bytes of serve.memory */
    size_t len, got;
    EVP_MD_CTX *digest;
};

/* Memory for a body of that many bytes; false: too much is in use now. */
bool serve_reserve(struct serve_exchange *x, uint64_t bytes);

/* Each queues one answer. */
enum MHD_Result serve_answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *m);
enum MHD_Result serve_answer_error(struct MHD_Connection *c, unsigned status, const struct bk_error *e);
enum MHD_Result serve_answer_empty(struct MHD_Connection *c, unsigned status);
unsigned serve_status_of(int code);
enum MHD_Result serve_answer_list(struct serve_exchange *x, struct MHD_Connection *c);
enum MHD_Result serve_answer_get(struct serve_exchange *x, struct MHD_Connection *c);
enum MHD_Result serve_answer_stat(struct serve_exchange *x, struct MHD_Connection *c);
enum MHD_Result serve_answer_info(struct serve_exchange *x, struct MHD_Connection *c);

/* The common name of the client's certificate when the authority vouches for it; false otherwise. */
bool serve_tls_name(struct MHD_Connection *c, char out[static SERVE_NAME_MAX + 1]);

#endif
