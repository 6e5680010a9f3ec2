/* bkd: the daemon. It serves repositories over HTTPS; bkctl works on any other repository without it. */
#include <getopt.h>
#include <libintl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "formats/base/error.h"

#if HAVE_SERVE
#include "bkd/serve/auth.h"
#include "bkd/serve/serve.h"
#endif

static int usage(void)
{
    fputs(gettext("bkd: the command line is wrong\nhint: see bkd --help\n"), stderr);
    return bk_code_exit(BK_E_USAGE);
}

static void help(void)
{
    fputs(gettext(
              "Usage: bkd serve --listen HOST:PORT --cert FILE --key FILE --config FILE [--client-ca FILE]\n"
              "       bkd token new [--sm3]\n"
              "       bkd --version | --help\n"
              "\n"
              "serve      serve repositories over HTTPS until SIGTERM; who may do what is in the "
              "configuration\n"
              "token new  print a new token and the hash that goes into the configuration\n"),
          stdout);
}

#if HAVE_SERVE
static int report(int r, const struct bk_error *e)
{
    fprintf(stderr, "bkd: %s\n", e->text);
    if (e->hint[0])
        fprintf(stderr, gettext("hint: %s\n"), e->hint);
    return bk_code_exit(r);
}

static int run(const struct serve_opts *o, const char *path)
{
    struct bk_error e = { 0 };
    bk_auto(serve_config_free) struct serve_config *c = NULL;
    struct serve *s = NULL;
    sigset_t ends;
    int sig;
    /* blocked before there are threads, so that none of them takes the signal */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = serve_config_read(path, &c, &e);
    if (r == 0)
        r = serve_start(o, c, &world_real, &s, &e);
    if (r < 0)
        return report(r, &e);
    printf(gettext("bkd: serving at %s\n"), o->listen);
    fflush(stdout);
    sigwait(&ends, &sig);
    serve_stop(s);
    return 0;
}

static int serve_command(int argc, char **argv)
{
    static const struct option known[] = { { "listen", 1, NULL, 'l' }, { "cert", 1, NULL, 'c' },
                                           { "key", 1, NULL, 'k' },    { "client-ca", 1, NULL, 'a' },
                                           { "config", 1, NULL, 'f' }, { 0 } };
    struct serve_opts o = { 0 };
    const char *config = NULL;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'l')
            o.listen = optarg;
        else if (c == 'c')
            o.cert = optarg;
        else if (c == 'k')
            o.key = optarg;
        else if (c == 'a')
            o.client_ca = optarg;
        else if (c == 'f')
            config = optarg;
        else
            return usage();
    }
    return optind != argc || !o.listen || !o.cert || !o.key || !config ? usage() : run(&o, config);
}

static int token_command(int argc, char **argv)
{
    char token[SERVE_TOKEN_TEXT], hash[2 * SERVE_TOKEN_HASH + 8];
    struct bk_error e = { 0 };
    bool sm3 = argc == 3 && strcmp(argv[2], "--sm3") == 0;
    if (argc < 2 || strcmp(argv[1], "new") != 0 || (argc > 2 && !sm3))
        return usage();
    int r = serve_auth_new(&world_real, sm3, token, hash, &e);
    if (r < 0)
        return report(r, &e);
    printf("%s\n%s\n", token, hash);
    return 0;
}
#endif

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    bindtextdomain("bkctl", LOCALEDIR);
    textdomain("bkctl");
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("bkd %s\n", BKCTL_VERSION);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        help();
        return 0;
    }
#if HAVE_SERVE
    if (argc > 1 && !strcmp(argv[1], "serve"))
        return serve_command(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "token"))
        return token_command(argc - 1, argv + 1);
#endif
    return usage();
}
