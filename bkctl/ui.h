/* What people and scripts see while a command runs: a live line on a terminal, plain lines elsewhere, JSON
 * lines with --json. Warnings and records from any thread never tear the live line.
 *
 *     ui_init -> ui_begin -> (work) -> ui_end -> ui_clear
 *
 * Progress and warnings go to standard error, results and JSON to standard output. */
#ifndef BKCTL_UI_H
#define BKCTL_UI_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "bkd/job/job.h"

struct ui {
    struct job *job; /* borrowed */
    bool json, quiet;
    int verbose;
    bool live; /* a terminal that can show a line that changes */
    FILE *json_out;
    const char *verb; /* what runs, "backup" */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stop, drawn;
    int64_t start_ns, last_ns;
    uint64_t last_bytes;
    double rate; /* bytes/s, smoothed */
};

int ui_init(struct ui *u, struct job *j, struct bk_error *err) BK_MUST_CHECK;
void ui_clear(struct ui *u);
/* Show the job's counters from now on. */
int ui_begin(struct ui *u, const char *verb, struct bk_error *err) BK_MUST_CHECK;
void ui_end(struct ui *u);
/* Seconds since ui_begin. */
double ui_seconds(const struct ui *u);

/* A line to standard error; not silenced by --quiet. With --json a {"type":"log"} record. */
void ui_warn(struct ui *u, const char *fmt, ...) BK_PRINTF(2, 3);
/* The same about a file: "warning: PATH: text", the path made safe for terminals. type: of the JSON record.
 */
void ui_problem(struct ui *u, const char *type, const void *path, size_t path_len, const char *code,
                const char *text);
/* One JSON record on a line of its own; takes the reference. NULL (no memory) is ignored. */
void ui_emit(struct ui *u, json_t *record);
/* The error that ends the command: "bkctl: COMMAND: text" and its hint, or {"type":"error","error":{...}}. */
void ui_error(struct ui *u, const char *command, const struct bk_error *err);
/* for job.log */
void ui_log(void *ctx, enum job_level level, const char *text);

#endif
