/* Completion scripts. Each is a flat dump of the tables in the shell's own words; no program is asked at run
 * time. */
#include "bkctl/help.h"

#include <string.h>

static void spaced(FILE *f, const char *choices)
{
    for (; *choices; choices++)
        fputc(*choices == '|' ? ' ' : *choices, f);
}

static bool takes_value(const struct opt *o)
{
    return o->kind != OPT_KIND_FLAG && o->kind != OPT_KIND_COUNT;
}

static bool wants_dir(const struct opt *o)
{
    return o->meta && !strcmp(o->meta, "DIR");
}

static void bash_names(FILE *f, const struct opt *table)
{
    for (const struct opt *o = table; o && o->kind != OPT_KIND_END; o++)
        if (!o->hidden)
            fprintf(f, "--%s ", o->name);
}

/* one arm per option with a value: what completes the word after it */
static void bash_values(FILE *f, const char *command, const struct opt *table)
{
    for (const struct opt *o = table; o && o->kind != OPT_KIND_END; o++) {
        if (!takes_value(o) || o->hidden)
            continue;
        fprintf(f, "        %s:--%s", command, o->name);
        if (o->ch)
            fprintf(f, "|%s:-%c", command, o->ch);
        if (o->choices) {
            fputs(") COMPREPLY=($(compgen -W '", f);
            spaced(f, o->choices);
            fputs("' -- \"$cur\")); return ;;\n", f);
        } else if (o->kind == OPT_KIND_STR || o->kind == OPT_KIND_LIST) {
            fprintf(f, ") COMPREPLY=($(compgen -%c -- \"$cur\")); return ;;\n", wants_dir(o) ? 'd' : 'f');
        } else {
            fputs(") return ;;\n", f);
        }
    }
}

void completion_bash(FILE *f)
{
    fputs("# bash completion for bkctl, generated from its option tables\n"
          "_bkctl()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= i\n"
          "    COMPREPLY=()\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n        ",
          f);
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            fprintf(f, "%s%s", i ? "|" : "", commands[i]->name);
    fputs(") cmd=${COMP_WORDS[i]}; break ;;\n        esac\n    done\n"
          "    case $cmd:$prev in\n",
          f);
    bash_values(f, "*", global_opts);
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            bash_values(f, commands[i]->name, commands[i]->opts);
    fputs("    esac\n    case $cmd:$cur in\n    :-*) COMPREPLY=($(compgen -W '", f);
    bash_names(f, global_opts);
    fputs("' -- \"$cur\")) ;;\n    :*) COMPREPLY=($(compgen -W '", f);
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            fprintf(f, "%s ", commands[i]->name);
    fputs("' -- \"$cur\")) ;;\n", f);
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        if (c->hidden)
            continue;
        fprintf(f, "    %s:-*) COMPREPLY=($(compgen -W '", c->name);
        bash_names(f, c->opts);
        bash_names(f, global_opts);
        fputs("' -- \"$cur\")) ;;\n", f);
        if (c->verbs) {
            fprintf(f, "    %s:*) COMPREPLY=($(compgen -W '", c->name);
            spaced(f, c->verbs);
            fputs("' -- \"$cur\")) ;;\n", f);
        }
    }
    fputs("    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    esac\n}\ncomplete -o filenames -F _bkctl "
          "bkctl\n",
          f);
}

/* Inside '...' with zsh's own specials for an option spec. */
static void zsh_text(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            fputs("'\\''", f);
        else if (strchr("[]:\\", *s))
            fprintf(f, "\\%c", *s);
        else
            fputc(*s, f);
    }
}

static void zsh_options(FILE *f, const struct opt *table)
{
    for (const struct opt *o = table; o && o->kind != OPT_KIND_END; o++) {
        if (o->hidden)
            continue;
        for (int form = 0; form < (o->ch ? 2 : 1); form++) {
            fputs("            '", f);
            if (o->kind == OPT_KIND_LIST || o->kind == OPT_KIND_COUNT)
                fputc('*', f);
            if (form)
                fprintf(f, "-%c%s[", o->ch, takes_value(o) ? "+" : "");
            else
                fprintf(f, "--%s%s[", o->name, takes_value(o) ? "=" : "");
            zsh_text(f, _(o->help));
            fputc(']', f);
            if (takes_value(o)) {
                fputc(':', f);
                zsh_text(f, o->meta ? _(o->meta) : o->name);
                fputc(':', f);
                if (o->choices) {
                    fputc('(', f);
                    spaced(f, o->choices);
                    fputc(')', f);
                } else if (o->kind == OPT_KIND_STR || o->kind == OPT_KIND_LIST) {
                    fputs(wants_dir(o) ? "_files -/" : "_files", f);
                }
            }
            fputs("' \\\n", f);
        }
    }
}

void completion_zsh(FILE *f)
{
    fputs("#compdef bkctl\n# generated from bkctl's option tables\n"
          "_bkctl()\n{\n    local state line\n    _arguments -C \\\n",
          f);
    zsh_options(f, global_opts);
    fputs("            '1:command:->command' '*::argument:->argument'\n    case $state in\n    command)\n"
          "        local -a list=(\n",
          f);
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i]->hidden)
            continue;
        fprintf(f, "            '%s:", commands[i]->name);
        zsh_text(f, _(commands[i]->summary));
        fputs("'\n", f);
    }
    fputs("        )\n        _describe command list ;;\n    argument)\n        case $words[1] in\n", f);
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        if (c->hidden)
            continue;
        fprintf(f, "        %s) _arguments \\\n", c->name);
        zsh_options(f, c->opts);
        zsh_options(f, global_opts);
        if (c->verbs) {
            fputs("            '1:action:(", f);
            spaced(f, c->verbs);
            fputs(")' ", f);
        }
        fputs("            '*:file:_files' ;;\n", f);
    }
    fputs("        esac ;;\n    esac\n}\n_bkctl \"$@\"\n", f);
}

static void fish_text(FILE *f, const char *s)
{
    fputc('\'', f);
    for (; *s; s++)
        fprintf(f, *s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
    fputc('\'', f);
}

static void fish_options(FILE *f, const char *command, const struct opt *table)
{
    for (const struct opt *o = table; o && o->kind != OPT_KIND_END; o++) {
        if (o->hidden)
            continue;
        fputs("complete -c bkctl", f);
        if (command)
            fprintf(f, " -n '__fish_seen_subcommand_from %s'", command);
        if (o->ch)
            fprintf(f, " -s %c", o->ch);
        fprintf(f, " -l %s", o->name);
        if (o->choices) {
            fputs(" -x -a '", f);
            spaced(f, o->choices);
            fputc('\'', f);
        } else if (takes_value(o)) {
            fputs(o->kind == OPT_KIND_STR || o->kind == OPT_KIND_LIST ? " -r -F" : " -x", f);
        }
        fputs(" -d ", f);
        fish_text(f, _(o->help));
        fputc('\n', f);
    }
}

void completion_fish(FILE *f)
{
    fputs("# fish completion for bkctl, generated from its option tables\n", f);
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        if (c->hidden)
            continue;
        fprintf(f, "complete -c bkctl -f -n __fish_use_subcommand -a %s -d ", c->name);
        fish_text(f, _(c->summary));
        fputc('\n', f);
        if (c->verbs) {
            fprintf(f, "complete -c bkctl -f -n '__fish_seen_subcommand_from %s' -a '", c->name);
            spaced(f, c->verbs);
            fputs("'\n", f);
        }
        fish_options(f, c->name, c->opts);
    }
    fish_options(f, NULL, global_opts);
}
