/* zip.h: strict reader of zip archives, for the archive importers.
 *
 * Opening checks the whole directory; an entry's bytes are checked (CRC) when they are first asked for. */
#ifndef JITC_SCRIPT_ZIP_H
#define JITC_SCRIPT_ZIP_H

#include "ir/mapping.h"

typedef struct script_zip script_zip;

typedef struct script_zip_entry {
    const char *name;
    size_t size;       /* of the contents */
    size_t packed;     /* as stored */
    size_t at;         /* of the packed bytes, from the start of the file */
    size_t begin, end; /* all that belongs to the entry: local header .. data descriptor */
    uint32_t crc;
    int method;     /* 0 stored, 8 deflated */
    bool checked;   /* the CRC was right */
    char *inflated; /* heap, once asked for */
} script_zip_entry;

/* `file` is for messages; the archive retains `map`.  NULL after a diagnostic.  Ends with script_zip_close.
 */
script_zip *script_zip_open(ir_context *c, const char *file, ir_mapping *map);
void script_zip_close(script_zip *z); /* takes NULL */

int script_zip_count(const script_zip *z);
script_zip_entry *script_zip_at(script_zip *z, int i);              /* in the directory's order */
script_zip_entry *script_zip_find(script_zip *z, const char *name); /* NULL if there is none */
ir_mapping *script_zip_mapping(const script_zip *z);                /* borrowed */
/* The contents: in place when stored, else inflated once; borrowed until the archive is closed.
 * NULL after a diagnostic that names file and entry; never NULL for an empty entry. */
const char *script_zip_read(script_zip *z, script_zip_entry *e, size_t *n);

#endif
