#include "bkctl/help.h"

#include <ctype.h>

/* Text into roff: a leading dot or quote, backslashes and dashes would be taken for commands. */
static void put(FILE *f, const char *s)
{
    for (bool start = true; *s; s++) {
        if (*s == '\n' && s[1] == '\n') {
            fputs("\n.PP\n", f);
            start = true;
            s++;
            continue;
        }
        if (start && (*s == '.' || *s == '\''))
            fputs("\\&", f);
        if (*s == '\\')
            fputs("\\e", f);
        else if (*s == '-')
            fputs("\\-", f);
        else
            fputc(*s, f);
        start = *s == '\n';
    }
}

static void option(FILE *f, const struct opt *o)
{
    fputs(".TP\n", f);
    if (o->ch)
        fprintf(f, "\\fB\\-%c\\fR, ", o->ch);
    fputs("\\fB\\-\\-", f);
    put(f, o->name);
    fputs("\\fR", f);
    if (o->choices || o->meta) {
        fputs("=\\fI", f);
        put(f, o->choices ? o->choices : _(o->meta));
        fputs("\\fR", f);
    }
    fputc('\n', f);
    put(f, _(o->help));
    if (o->def && !(o->def[0] == '0' && !o->def[1])) {
        char def[128];
        snprintf(def, sizeof def, _(" (default %s)"), o->def);
        put(f, def);
    }
    if (o->env)
        fprintf(f, _(" (or set %s)"), o->env);
    fputc('\n', f);
}

static void options(FILE *f, const char *head, const struct opt *table)
{
    fprintf(f, ".SH %s\n", head);
    for (const struct opt *o = table; o && o->kind != OPT_KIND_END; o++)
        if (!o->hidden)
            option(f, o);
}

static void title(FILE *f, const struct command *c)
{
    fputs(".TH BKCTL", f);
    for (const char *p = c ? c->name : ""; *p; p++)
        fprintf(f, "%s%c", p == c->name ? "-" : "", toupper((unsigned char)*p));
    fprintf(f, " 1 \"\" \"bkctl %s\" \"bkctl\"\n.SH %s\nbkctl", BKCTL_VERSION, _("NAME"));
    if (c)
        fprintf(f, "\\-%s \\- ", c->name);
    else
        fputs(" \\- ", f);
    put(f, c ? _(c->summary) : _("back up and restore, deduplicated and encrypted"));
    fprintf(f, "\n.SH %s\n\\fBbkctl\\fR ", _("SYNOPSIS"));
    if (c)
        fprintf(f, "\\fB%s\\fR [\\fI%s\\fR] ", c->name, _("OPTIONS"));
    else
        fprintf(f, "[\\fI%s\\fR] \\fI%s\\fR [\\fI%s\\fR]", _("OPTIONS"), _("COMMAND"), _("ARGUMENTS"));
    if (c && c->operands)
        put(f, _(c->operands));
    fputc('\n', f);
}

static void exit_status(FILE *f)
{
    fprintf(f, ".SH %s\n.TP\n0\n", _("EXIT STATUS"));
    put(f, _("complete"));
    fputc('\n', f);
#define X(name, status, text) fprintf(f, ".TP\n%d\n", status), put(f, _(text)), fputc('\n', f);
    BK_CODES(X)
#undef X
}

static const struct {
    const char *url, *text;
} places[] = {
    { "/PATH, file:///PATH", N_("a directory") },
    { "rados://[client.NAME@]POOL[/NAMESPACE][?conf=FILE&keyring=FILE&timeout=SECONDS&connect=SECONDS]",
      N_("a namespace of a Ceph pool, replicated or erasure-coded, as client.admin unless a client is named. "
         "conf is "
         "the Ceph configuration, otherwise the usual one. An operation that is not answered within timeout "
         "(default 60) ends with an error, and so does a start whose monitors do not answer within connect "
         "(default "
         "30); what comes back in time is waited for.") },
};

static void repository_urls(FILE *f)
{
    fprintf(f, ".SH %s\n", _("REPOSITORY URLS"));
    for (size_t i = 0; i < BK_COUNT(places); i++) {
        fputs(".TP\n\\fB", f);
        put(f, places[i].url);
        fputs("\\fR\n", f);
        put(f, _(places[i].text));
        fputc('\n', f);
    }
}

static void overview(FILE *f)
{
    fprintf(f, ".SH %s\n", _("DESCRIPTION"));
    put(f, _("A snapshot is named by the start of its id (four digits or more), 'latest', NAME@latest or "
             "NAME@ID; a path "
             "in it by SNAP:PATH. When NAME holds a colon the '@' ends it: host:/etc@latest:/etc/fstab."));
    fprintf(f, "\n.SH %s\n", _("COMMANDS"));
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i]->hidden)
            continue;
        fprintf(f, ".TP\n\\fBbkctl\\-%s\\fR(1)\n", commands[i]->name);
        put(f, _(commands[i]->summary));
        fputc('\n', f);
    }
}

void man_page(FILE *f, const struct command *c)
{
    title(f, c);
    if (c && c->about) {
        fprintf(f, ".SH %s\n", _("DESCRIPTION"));
        put(f, _(c->about));
        fputc('\n', f);
    }
    if (!c)
        overview(f);
    if (!c)
        repository_urls(f);
    if (c && c->opts)
        options(f, _("OPTIONS"), c->opts);
    options(f, _("OPTIONS OF EVERY COMMAND"), global_opts);
    if (c && c->examples && c->examples[0].command) {
        fprintf(f, ".SH %s\n", _("EXAMPLES"));
        for (const struct example *e = c->examples; e->command; e++) {
            fputs(".TP\n", f);
            put(f, _(e->text));
            fputs("\n\\fB", f);
            put(f, e->command);
            fputs("\\fR\n", f);
        }
    }
    exit_status(f);
    fprintf(f, ".SH %s\n.TP\nBKCTL_REPO\n", _("ENVIRONMENT"));
    put(f, _("the repository, when --repo is not given"));
    fputs("\n.TP\nBKCTL_PASSWORD\n", f);
    put(f, _("the passphrase, when no option names a secret"));
    fputs("\n.TP\nBKCTL_TOKEN, BKCTL_TOKEN_FILE, BKCTL_TOKEN_COMMAND\n", f);
    put(f,
        _("the token for https:// repositories: itself, the file that holds it, the command that prints it"));
    fputs(
        "\n.TP\nAWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, BKCTL_S3_CREDENTIALS_COMMAND,\n"
        "AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE\n",
        f);
    put(f, _("the keys for s3:// repositories: themselves, the command that prints them, their file and the "
             "section in it"));
    fprintf(f, "\n.SH %s\n", _("SEE ALSO"));
    fputs(c ? "bkctl(1)\n" : "docs/json.md, docs/errors.md\n", f);
}
