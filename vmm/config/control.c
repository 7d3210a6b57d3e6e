/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/control.h"

#include <stdio.h>

#include "vmm/process/rundir.h"

int control_add(struct options *o, const char *name, struct ferry_err *err)
{
    char path[RUNDIR_PATH_BYTES];
    char value[2 * RUNDIR_PATH_BYTES + 64];
    size_t used;
    int rc = rundir_file(path, name, ".sock", err);

    if (rc < 0)
        return rc;
    used =
        (size_t)snprintf(value, sizeof(value), "socket,id=" CONTROL_ID ",server=on,wait=off,path=");
    for (const char *c = path; *c; c++) {
        value[used++] = *c;
        if (*c == ',')
            value[used++] = ',';
    }
    value[used] = '\0';
    rc = options_add(o, "chardev", value, err);
    if (!rc)
        rc = options_add(o, "mon", "chardev=" CONTROL_ID ",mode=control", err);
    return rc;
}
