/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints docs/qmp.md from the table of commands; with a file name, checks that the file says the
 * same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/own.h"
#include "vmm/qmp/schema.h"

static int check(const char *path, const struct buf *docs)
{
    OWN_MEM char *got = calloc(1, docs->len_bytes + 2);
    FILE *f = fopen(path, "r");
    size_t n = f && got ? fread(got, 1, docs->len_bytes + 1, f) : 0;

    if (f)
        fclose(f);
    if (n == docs->len_bytes && memcmp(got, docs->data, n) == 0)
        return 0;
    fprintf(stderr, "%s is out of date; make it anew: build/tests/vmm/qmp/qmp-docs > docs/qmp.md\n",
            path);
    return 1;
}

int main(int argc, char **argv)
{
    OWN(buf_free) struct buf docs = {0};

    qmp_docs(&qmp_ferry_table, &docs);
    if (docs.failed)
        return 1;
    if (argc > 1)
        return check(argv[1], &docs);
    return fwrite(docs.data, 1, docs.len_bytes, stdout) == docs.len_bytes ? 0 : 1;
}
