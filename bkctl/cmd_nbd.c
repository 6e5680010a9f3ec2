/* nbd: disks, blobs and files of a snapshot, served read-only to whoever speaks NBD. */
#include "bkctl/command.h"
#include "bkctl/nbd.h"

static const struct opt nbd_opts[] = {
    OPT_STR(struct nbd_args, socket, 0, "socket", N_("PATH"),
            N_("listen at this unix socket instead of one in a folder of its own"),
            .conflicts = "port address tls-certs tls-verify-peer insecure"),
    OPT_INT(struct nbd_args, port, 0, "port", 1, 65535, N_("listen at this TCP port (10809 with --address)")),
    OPT_STR(struct nbd_args, address, 0, "address", N_("ADDRESS"),
            N_("listen at this address (127.0.0.1 with --port)")),
    OPT_STR(struct nbd_args, tls_certs, 0, "tls-certs", N_("DIR"),
            N_("demand TLS; DIR holds ca-cert.pem, server-cert.pem and server-key.pem"),
            .conflicts = "insecure"),
    OPT_FLAG(struct nbd_args, tls_verify_peer, 0, "tls-verify-peer",
             N_("let in only who shows a certificate of that CA"), .conflicts = "insecure"),
    OPT_FLAG(struct nbd_args, insecure, 0, "insecure",
             N_("serve a TCP port without TLS: whoever reaches it reads everything")),
    OPT_END,
};

static int check_args(const struct nbd_args *x, const struct operands *ops, struct bk_error *err)
{
    bool tcp = x->port || x->address;
    if (!ops->n_before)
        return bk_fail(err, BK_E_USAGE, "needs SNAP[:NAME] before --");
    if (ops->dashes && ops->n == ops->n_before)
        return bk_fail(err, BK_E_USAGE, "after -- stands a command");
    if (tcp && !x->tls_certs && !x->insecure) {
        bk_fail(err, BK_E_USAGE, "a TCP port needs --tls-certs DIR");
        return bk_hint(err, "or --insecure, if whoever reaches the port may read everything");
    }
    if (!tcp && (x->tls_certs || x->insecure))
        return bk_fail(err, BK_E_USAGE, "--tls-certs and --insecure are for a TCP port: --port N");
    if (x->tls_verify_peer && !x->tls_certs)
        return bk_fail(err, BK_E_USAGE, "--tls-verify-peer needs --tls-certs");
    return 0;
}

static int nbd_run(struct app *a, const void *args, const struct operands *ops, struct bk_error *err)
{
    int r = check_args(args, ops, err);
    if (r < 0)
        return r;
#if HAVE_NBD
    return nbd_serve(a, args, ops, err);
#else
    (void)a;
    bk_fail(err, BK_E_UNSUPPORTED, "this bkctl was built without nbdkit");
    return bk_hint(err, "install nbdkit-plugin-dev and build again");
#endif
}

const struct command cmd_nbd = {
    .name = "nbd",
    .summary = N_("Serve disks, streams or files of snapshots over NBD, read-only"),
    .operands = N_("SNAP[:NAME]... [-- CMD ARGS]"),
    .about = N_(
        "NAME is a disk or stream of the snapshot, or a regular file in it. Without NAME every disk is an "
        "export of its own name, or every stream when there is no disk; who names no export gets the only "
        "one. The URI is printed once it answers, and it serves until Ctrl-C or SIGTERM. With -- CMD it "
        "runs CMD with the URI in the variables uri and BKCTL_NBD_URI, and ends with it and its status."
        "\n\n"
        "Up to 64 clients are served at once. What they ask for is held in memory beyond --memory: up to 8 "
        "requests of a client at a time, of 8 MiB at most if it heeds what it is told, of 64 MiB if not."
        "\n\n"
        "Needs the program nbdkit. What cannot be read of a damaged repository is an input/output error "
        "for its own place."),
    .opts = nbd_opts,
    .args_size = sizeof(struct nbd_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .examples =
        (const struct example[]){
            { N_("a disk as a qcow2 image"),
              "bkctl nbd vm@latest:sda -- sh -c 'qemu-img convert -O qcow2 \"$uri\" sda.qcow2'" },
            { N_("to other hosts, with TLS"),
              "bkctl nbd vm@latest --address 192.0.2.7 --port 10809 --tls-certs /etc/pki/bkctl" },
            { 0 } },
    .run = nbd_run,
};
