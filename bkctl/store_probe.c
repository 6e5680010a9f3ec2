#include "bkctl/store_probe.h"

#include <libintl.h>
#include <string.h>

#include "bkctl/show.h"
#include "bkctl/text.h"

#define _(s) gettext(s)

static const char *said(enum probe_result r)
{
    switch (r) {
    case PROBE_GOOD:
        return _("good");
    case PROBE_UNTRIED:
        return _("not tried");
    case PROBE_MISSING:
        return _("MISSING");
    }
    return "?";
}

void store_probe_print(FILE *f, const char *url, const struct store *s, const struct probe_report *r)
{
    fprintf(f, _("%s: %u rounds of %u clients\n"), url, r->rounds, r->clients);
    for (unsigned c = 0; c < PROBE_CHECKS; c++) {
        const struct probe_finding *p = &r->of[c];
        fprintf(f, "  %-18s %s%s%s\n", probe_check_name((enum probe_check)c), said(p->result),
                p->text[0] ? ": " : "", p->text);
        if (p->result == PROBE_MISSING)
            fprintf(f, _("  %-18s forbids %s\n"), "", _(probe_check_forbids((enum probe_check)c)));
    }
    fprintf(f, "  %-18s %s\n", "retention",
            s->can & STORE_CAN_RETAIN ? _("objects can be kept from being removed")
                                      : _("none: objects cannot be kept from being removed"));
    fputs(r->usable ? _("a repository may be kept there\n") : _("no repository may be kept there\n"), f);
}

json_t *store_probe_json(const char *url, const struct store *s, const struct probe_report *r)
{
    static const char *const results[] = { "good", "untried", "missing" };
    json_t *j = show_record("result"), *checks = json_array();
    text_json_bytes(j, "url", url, strlen(url));
    json_object_set_new(j, "usable", json_boolean(r->usable));
    json_object_set_new(j, "retention", json_boolean(s->can & STORE_CAN_RETAIN));
    json_object_set_new(j, "clock_ahead_ms", json_integer(r->ahead_ms));
    for (unsigned c = 0; c < PROBE_CHECKS; c++) {
        const struct probe_finding *p = &r->of[c];
        json_t *one = json_object();
        json_object_set_new(one, "name", json_string(probe_check_name((enum probe_check)c)));
        json_object_set_new(one, "result", json_string(results[p->result]));
        if (p->text[0])
            json_object_set_new(one, "text", json_string(p->text));
        if (p->result == PROBE_MISSING)
            json_object_set_new(one, "forbids", json_string(_(probe_check_forbids((enum probe_check)c))));
        json_array_append_new(checks, one);
    }
    json_object_set_new(j, "checks", checks);
    return j;
}

int store_probe_verdict(const struct probe_report *r, struct bk_error *err)
{
    if (r->usable)
        return 0;
    for (unsigned c = 0; c < PROBE_CHECKS; c++)
        if (r->of[c].result == PROBE_MISSING && c != PROBE_REMOVE && c != PROBE_CLOCK) {
            bk_fail(err, BK_E_UNSUPPORTED, "no repository may be kept there: %s is missing: %s",
                    probe_check_name((enum probe_check)c), r->of[c].text);
            return err ? bk_hint(err, "bkctl store probe tells what the place can do") : BK_E_UNSUPPORTED;
        }
    return BK_E_UNSUPPORTED;
}
