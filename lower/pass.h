/* pass.h: runs the pipeline of passes.def. */
#ifndef JITC_LOWER_PASS_H
#define JITC_LOWER_PASS_H

#include "lower/group.h"

typedef struct lower_options {
    int opt;                  /* -O level, 0..3 */
    int tile_rows;            /* of the target's tiles; 0: as the module says */
    bool verify;              /* after every pass; always in debug builds */
    bool stats;               /* a line per pass: changes, milliseconds */
    const char *print_after;  /* name of a pass, "all", or NULL */
    const char *stop_after;   /* name of a pass, or NULL */
    const char *skip;         /* comma-separated names of passes to leave out, or NULL */
    rt_text *log;             /* where dumps and statistics go; NULL: nowhere */
} lower_options;

typedef struct lower_pass { const char *name; int (*run)(ir_module *m); int from_opt; ir_state needs, gives; const char *help; } lower_pass;
extern const lower_pass lower_passes[];
extern const int lower_npasses;

/* Runs the passes on m (core).  *stopped: stop_after was met.  false after diagnostics. */
bool lower_run(ir_module *m, const lower_options *o, bool *stopped);
/* Is there a pass of that name (or "specialise")? */
bool lower_is_pass(const char *name);

#endif
