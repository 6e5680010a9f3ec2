#include "bkctl/help.h"

#include <string.h>
#include <sys/ioctl.h>

#include "bkctl/text.h"

enum { HELP_INDENT = 30, HELP_COLUMNS = 100 };

static int page_width(FILE *f)
{
    struct winsize w;
    if (ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col >= 60 && w.ws_col < HELP_COLUMNS)
        return w.ws_col;
    return HELP_COLUMNS;
}

/* Text filled into lines, `indent` before each but the first; at: columns already taken on this line. */
static void fill(FILE *f, const char *text, int indent, int at)
{
    int width = page_width(f);
    char word[256];
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " \n");
        snprintf(word, sizeof word, "%.*s", (int)n, text);
        int w = text_width(word);
        if (!first && at + 1 + w > width) {
            fprintf(f, "\n%*s", indent, "");
            at = indent;
        } else if (!first) {
            fputc(' ', f);
            at++;
        }
        fputs(word, f);
        at += w;
        first = false;
        text += n;
        if (text[0] == '\n' && text[1] == '\n') {
            fprintf(f, "\n\n%*s", indent, "");
            at = indent;
            first = true;
            text++;
        }
        text += *text != '\0';
    }
    fputc('\n', f);
}

static const char *meta_of(const struct opt *o)
{
    return o->choices ? o->choices : o->meta ? _(o->meta) : NULL;
}

static void print_option(FILE *f, const struct opt *o)
{
    char head[128];
    int n = o->ch ? snprintf(head, sizeof head, "  -%c, --%s", o->ch, o->name)
                  : snprintf(head, sizeof head, "      --%s", o->name);
    if (meta_of(o))
        snprintf(head + n, sizeof head - (size_t)n, "=%s", meta_of(o));
    int at = text_width(head);
    fputs(head, f);
    if (at + 2 > HELP_INDENT)
        fprintf(f, "\n%*s", HELP_INDENT, "");
    else
        fprintf(f, "%*s", HELP_INDENT - at, "");
    char text[1024];
    n = snprintf(text, sizeof text, "%s", _(o->help));
    if (o->def && strcmp(o->def, "0"))
        n += snprintf(text + n, sizeof text - (size_t)n, _(" (default %s)"), o->def);
    if (o->env)
        snprintf(text + n, sizeof text - (size_t)n, _(" (or set %s)"), o->env);
    fill(f, text, HELP_INDENT, HELP_INDENT);
}

static void print_options(FILE *f, const struct opt *table)
{
    for (const struct opt *o = table; o && o->kind != OPT_KIND_END; o++)
        if (!o->hidden)
            print_option(f, o);
}

void help_overview(FILE *f)
{
    fill(f, _("Usage: bkctl [OPTIONS] COMMAND [ARGUMENTS]"), 0, 0);
    fputs(_("\nCommands:\n"), f);
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        if (c->hidden)
            continue;
        int at = fprintf(f, "  %-12s ", c->name);
        fill(f, _(c->summary), at, at);
    }
    fputs(_("\nOptions of every command:\n"), f);
    print_options(f, global_opts);
    fputs(_("\nA snapshot is named by the start of its id, 'latest', or NAME@latest;\n"
            "a path in it by SNAP:PATH. More: bkctl help COMMAND\n"),
          f);
}

void help_command(FILE *f, const struct command *c)
{
    fprintf(f, _("Usage: bkctl %s"), c->name);
    if (c->opts)
        fputs(_(" [OPTIONS]"), f);
    if (c->operands)
        fprintf(f, " %s", _(c->operands));
    fputs("\n\n", f);
    fill(f, _(c->summary), 0, 0);
    if (c->about) {
        fputc('\n', f);
        fill(f, _(c->about), 0, 0);
    }
    if (c->opts) {
        fputs(_("\nOptions:\n"), f);
        print_options(f, c->opts);
    }
    fputs(_("\nOptions of every command:\n"), f);
    print_options(f, global_opts);
    if (c->examples && c->examples[0].command)
        fputs(_("\nExamples:\n"), f);
    for (const struct example *e = c->examples; e && e->command; e++) {
        fputs("  # ", f);
        fill(f, _(e->text), 4, 4);
        fprintf(f, "  %s\n", e->command);
    }
}
