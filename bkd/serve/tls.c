/* The client's certificate: verified by GnuTLS against --client-ca, its name read by OpenSSL. */
#include <gnutls/gnutls.h>
#include <openssl/x509.h>
#include <string.h>

#include "bkd/serve/inside.h"

static bool name_of(const unsigned char *der, long len, char out[static SERVE_NAME_MAX + 1])
{
    X509 *x = d2i_X509(NULL, &der, len);
    X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;
    int at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    /* of two names one could be overlooked */
    bool ok = at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0;
    unsigned char *utf8 = NULL;
    int n = ok ? ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) : -1;
    ok = n > 0 && n <= SERVE_NAME_MAX && !memchr(utf8, '\0', (size_t)n);
    if (ok) {
        memcpy(out, utf8, (size_t)n);
        out[n] = '\0';
    }
    OPENSSL_free(utf8);
    X509_free(x);
    return ok;
}

bool serve_tls_name(struct MHD_Connection *c, char out[static SERVE_NAME_MAX + 1])
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t tls = i ? (gnutls_session_t)i->tls_session : NULL;
    unsigned status = 1, n = 0;
    if (!tls || gnutls_certificate_verify_peers2(tls, &status) < 0 || status != 0)
        return false;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls, &n);
    return chain && n > 0 && name_of(chain[0].data, (long)chain[0].size, out);
}
