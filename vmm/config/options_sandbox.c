/* SPDX-License-Identifier: Apache-2.0 */
/* -sandbox, in QEMU's grammar. What ferry's sandbox has for each word of it: docs/sandbox.md. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "vmm/config/options.h"
#include "vmm/config/props.h"

struct sandbox {
    bool enable;
    int obsolete, elevate, spawn, resource; /* 0 = not given, else the index in choices, + 1 */
};

enum { DENY = 1, ALLOW, CHILDREN };

static const char *const choices[] = {"deny", "allow", NULL};
static const char *const elevate_choices[] = {"deny", "allow", "children", NULL};

#define M(member) .offset = offsetof(struct sandbox, member)
static const struct prop props[] = {
    {.name = "enable", .kind = PROP_BOOL, M(enable)},
    {.name = "obsolete", .kind = PROP_ENUM, M(obsolete), .choices = choices},
    {.name = "elevateprivileges", .kind = PROP_ENUM, M(elevate), .choices = elevate_choices},
    {.name = "spawn", .kind = PROP_ENUM, M(spawn), .choices = choices},
    {.name = "resourcecontrol", .kind = PROP_ENUM, M(resource), .choices = choices},
    {0},
};
#undef M

int option_sandbox(struct vm_config *c, const char *value, struct ferry_err *err)
{
    struct sandbox s = {0};
    int rc = props_apply_text(props, value, "enable", &s, err);

    if (rc < 0)
        return rc;
    if (s.obsolete == ALLOW || s.resource == ALLOW || s.elevate >= ALLOW)
        return err_set(err, ENOTSUP,
                       "%s=%s is not served: the VMM needs none of it, and the sandbox denies it "
                       "always; leave it out, or say -sandbox off",
                       s.obsolete == ALLOW   ? "obsolete"
                       : s.resource == ALLOW ? "resourcecontrol"
                                             : "elevateprivileges",
                       s.elevate == CHILDREN ? "children" : "allow");
    if (!s.enable && s.spawn == DENY)
        return err_set(err, EINVAL, "spawn=deny has no meaning without a sandbox");
    c->no_sandbox = !s.enable;
    c->sandbox_spawn = s.spawn == ALLOW;
    return 0;
}
