/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/supervisor_policy.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

void supervisor_policy_from(struct supervisor_policy *ret, const struct vm_config *c)
{
    *ret = (struct supervisor_policy){.sandbox = !c->no_sandbox,
                                      .spawn = c->no_sandbox || c->sandbox_spawn,
                                      .pidfile = c->pidfile};
    for (size_t j = 0; j < c->chardev_count; j++) {
        const struct config_chardev *d = &c->chardevs[j];

        if (d->type != CONFIG_CHARDEV_SOCKET || !d->server)
            continue;
        ret->sockets[ret->socket_count++] = d->path;
        /* On a mux nobody asks for what the supervisor does: it is a console's, too. */
        for (size_t i = 0; i < c->monitor_count && !d->mux; i++)
            if (!strcmp(d->id, c->monitors[i].chardev))
                ret->monitors[ret->monitor_count++] = d->path;
    }
    for (size_t i = 0; i < c->netdev_count; i++)
        if (c->netdevs[i].type == CONFIG_NETDEV_STREAM && c->netdevs[i].reconnect_ms)
            ret->peers[ret->peer_count++] =
                (struct supervisor_peer){c->netdevs[i].id, c->netdevs[i].path};
}

const char *supervisor_policy_text(const struct supervisor_policy *p)
{
    return !p->sandbox ? ":off" : p->spawn ? ":on,spawn" : ":on";
}

int supervisor_policy_parse(struct supervisor_policy *ret, const char *text, struct ferry_err *err)
{
    static const struct supervisor_policy all[] = {
        {.sandbox = false, .spawn = true}, {.sandbox = true}, {.sandbox = true, .spawn = true}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!strcmp(text, supervisor_policy_text(&all[i]))) {
            *ret = all[i];
            return 0;
        }
    }
    return err_set(err, EINVAL, "'%.40s' is no policy of a supervisor", text);
}
