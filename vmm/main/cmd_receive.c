/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/config/absolute.h"
#include "vmm/main/commands.h"
#include "vmm/main/receive.h"
#include "vmm/supervisor/supervisor.h"

static int parse(const struct command *self, int argc, char *const argv[], struct receive *r)
{
    for (int i = 0; i < argc; i++) {
        struct ferry_err err;
        int taken = receive_parse(r, argc, argv, &i, &err);

        if (taken < 0)
            return command_fail(self, "%s", err.text);
        if (taken)
            continue;
        if (!strcmp(argv[i], "--supervised")) {
            r->supervised = true;
        } else if (!strcmp(argv[i], "--once")) {
            r->once = true;
        } else if (!strcmp(argv[i], "--insecure")) {
            r->insecure = true;
        } else if (!strcmp(argv[i], "--fault") && i + 1 < argc) {
            if (fault_parse(&r->fault, argv[++i], &err) < 0)
                return command_fail(self, "%s", err.text);
        } else if ((!strcmp(argv[i], "--capability") || !strcmp(argv[i], "--parameter")) &&
                   i + 1 < argc) {
            bool capability = argv[i][2] == 'c';

            if (settings_add(&r->settings, capability, argv[++i], &err) < 0)
                return command_fail(self, "%s", err.text);
        } else if (!strcmp(argv[i], "--compress") && i + 1 < argc) {
            r->compression = argv[++i];
            if (settings_check_compression(r->compression, &err) < 0)
                return command_misused(self, "%s", err.text);
        } else if ((!strcmp(argv[i], "-qmp") || !strcmp(argv[i], "--qmp")) && i + 1 < argc) {
            free(r->qmp);
            r->qmp = absolute_place(argv[++i], &err);
            if (!r->qmp)
                return command_fail(self, "-qmp %s", err.text);
        } else if (argv[i][0] == '-' || r->uri) {
            return command_unexpected(self, argv[i]);
        } else {
            r->uri = argv[i];
        }
    }
    if (!r->uri && !r->qmp)
        return command_misused(self, "where to receive from is missing");
    return 0;
}

static int run(const struct command *self, int argc, char *const argv[])
{
    struct receive receive;
    struct ferry_err err;
    int status;

    if (receive_init(&receive, &err) < 0)
        return command_fail(self, "%s", err.text);
    status = parse(self, argc, argv, &receive);
    if (!status && !supervisor_is_there())
        status = receive_supervise(&receive, self, argc, argv);
    else if (!status && receive_vm(&receive, &status, &err) < 0)
        status = command_fail(self, "%s", err.text);
    receive_free(&receive);
    return status;
}

static void print_this_host(void)
{
    puts("\nThe source says what machine the guest sees. What it has of this host is said here;\n"
         "what is missing is named when it connects, also by 'ferry migrate --dry-run':");
    this_host_print_help(stdout);
}

const struct command command_receive = {
    .name = "receive",
    .usage =
        "[URI] [--drive ID=PATH ...] [--allow-path DIR ...] [-qmp unix:PATH,server=on,wait=off]",
    .summary = "Receive a running VM and run it on: builds the machine from what arrives.",
    .help =
        "URI is tcp:HOST:PORT (port 0: any, it is printed), unix:PATH, fd:N, exec:COMMAND or\n"
        "file:PATH. Then, where the VM runs: 'ferry migrate VM URI'. When that fails, or is\n"
        "refused, the source goes on, and this process says why and listens again; where\n"
        "nothing else can come (fd, exec, file) it ends with status 1.\n\n"
        "As the source has it:\n\n"
        "  --channels N       as many channels for RAM besides the main one\n"
        "  --compress METHOD  none, zlib or zstd\n"
        "  --capability NAME[=on|off]\n"
        "                     what QMP sets by migrate-set-capabilities: x-ignore-shared\n"
        "  --parameter NAME=VALUE\n"
        "                     and by migrate-set-parameters: announce-rounds=9\n\n"
        "For a mapped-ram file, however it was written:\n\n"
        "  --channels N       so many threads read it\n"
        "  --direct-io        past the host's page cache\n\n"
        "  --clock stand|catch-up\n"
        "                   the time since it booted, as the guest reads it, stands still from\n"
        "                   its pause until it runs here (stand, the default), or is put\n"
        "                   forward when it first runs here, as if it had run on\n"
        "  --insecure       tcp: listen where other hosts can connect, although a stream is\n"
        "                   neither encrypted yet nor does it prove who sends it\n"
        "  --once           end with status 1, too, when what comes to tcp or unix is refused\n"
        "  -qmp ...         a monitor of this process that answers from the start; without a\n"
        "                   URI, its command migrate-incoming says where to receive from. When\n"
        "                   the VM has come it is one of the VM's, and goes along with updates\n"
        "  --sandbox off    as ferry run -sandbox\n"
        "  --fault POINT=kill|stop\n"
        "                   for drills: end or hang at a point of a handover\n"
        "                   (ferry run --help lists them)\n",
    .print_help = print_this_host,
    .run = run,
};
