/* SPDX-License-Identifier: Apache-2.0 */
/* Every command and event there is. */
#include "vmm/qmp/cmd.h"

/* clang-format off */
static const struct qmp_command commands[] = {
    {"qmp_capabilities", "Begin the session and choose its capabilities.",
     qmp_run_capabilities, &qmp_type_capabilities_args},
    {"query-version", "The version of QEMU whose interface this is; of ferry, the build and the "
     "process that answers.",
     qmp_run_query_version, .ret = &qmp_type_version},
    {"query-commands", "The names of all commands.",
     qmp_run_query_commands, .ret = &qmp_type_command_list},
    {"query-qmp-schema", "All commands, events and types, for programs.",
     qmp_run_query_schema, .ret = &qmp_type_schema},

    {"query-status", "Whether the VM runs, and if not, why.",
     qmp_run_query_status, .ret = &qmp_type_status},
    {"stop",
     "Stop the harts and the guest's clock; answered when the disks have done what was asked of "
     "them, or hang.",
     qmp_run_stop},
    {"cont", "Let a stopped VM go on.", qmp_run_cont},
    {"quit", "End the VM and its process.", qmp_run_quit},
    {"system_reset", "Reset the machine, as its reset button would.", qmp_run_system_reset},
    {"system_powerdown", "Ask the guest to power off: presses the power key of its "
     "virtio-keyboard-device, and fails where no driver listens to one.", qmp_run_system_powerdown},
    {"system_wakeup", "Wake a suspended guest; this machine cannot suspend.",
     qmp_run_system_wakeup},

    {"query-name", "The VM's name.", qmp_run_query_name, .ret = &qmp_type_name},
    {"query-uuid", "The VM's UUID.", qmp_run_query_uuid, .ret = &qmp_type_uuid},
    {"query-vm-generation-id",
     "The ID of the guest's generation, which changes when it is restored from a file.",
     qmp_run_query_vm_generation_id, .ret = &qmp_type_guid},
    {"query-target", "The guest's architecture.", qmp_run_query_target, .ret = &qmp_type_target},
    {"query-kvm", "Whether KVM is used.", qmp_run_query_kvm, .ret = &qmp_type_kvm},
    {"query-cpus-fast", "The harts and the host threads that run them.",
     qmp_run_query_cpus_fast, .ret = &qmp_type_cpu_list},
    {"query-memory-size-summary", "How much RAM the guest has.",
     qmp_run_query_memory_size_summary, .ret = &qmp_type_memory_size},
    {"query-chardev", "The chardevs and what they are connected to.",
     qmp_run_query_chardev, .ret = &qmp_type_chardev_list},
    {"query-block", "The drives.", qmp_run_query_block, .ret = &qmp_type_block_list},
    {"balloon", "How much RAM the guest shall have: the rest is in its balloon. Answered at once; "
     "how far the guest is, BALLOON_CHANGE and query-balloon say.", qmp_run_balloon,
     &qmp_type_balloon_args},
    {"query-balloon", "How much RAM the guest has, without what its balloon holds.",
     qmp_run_query_balloon, .ret = &qmp_type_balloon_info},
    {"set_link", "Take the link of a netdev, or of the card that uses it, down or up; the guest's "
     "driver sees it.", qmp_run_set_link, &qmp_type_set_link_args},

    {"netdev_add", "Add a netdev, as -netdev does: a TAP by the name of its interface or of a file "
     "descriptor (getfd), or a stream.", qmp_run_netdev_add, &qmp_type_netdev_add_args,
     .host = true},
    {"netdev_del", "Close and remove a netdev that no card uses.", qmp_run_netdev_del,
     &qmp_type_netdev_del_args},
    {"chardev-add", "Add a chardev, as -chardev does: nobody is on it yet. Answers where a pty is.",
     qmp_run_chardev_add, &qmp_type_chardev_add_args, &qmp_type_chardev_return, .host = true},
    {"chardev-remove", "Close and remove a chardev that nobody uses.", qmp_run_chardev_remove,
     &qmp_type_chardev_remove_args},
    {"blockdev-add", "Add a block node, as -blockdev does: a raw image in a file; no disk shows it "
     "yet.", qmp_run_blockdev_add, &qmp_type_blockdev_add_args, .host = true},
    {"blockdev-del", "Close and remove a block node that no disk shows.", qmp_run_blockdev_del,
     &qmp_type_blockdev_del_args},
    {"query-named-block-nodes", "The block nodes, whether a disk shows them or not.",
     qmp_run_query_nodes, &qmp_type_query_nodes_args, &qmp_type_node_list},

    {"device-list-properties", "What can be said of a kind of device, and its defaults.",
     qmp_run_device_list_properties, &qmp_type_typename_args, &qmp_type_property_list},
    {"qom-list-types", "The kinds of devices there are.",
     qmp_run_qom_list_types, &qmp_type_qom_list_types_args, &qmp_type_object_type_list},

    {"human-monitor-command", "What a person would type at QEMU's monitor, about migrations; the "
     "answer is what would be read.", qmp_run_human, &qmp_type_human_args, &qmp_str, .host = true},
    {"getfd", "Give the file descriptor that comes with this command (SCM_RIGHTS) a name, for one "
     "use as fd:NAME.", qmp_run_getfd, &qmp_type_fdname_args},
    {"closefd", "Close a file descriptor that has a name.", qmp_run_closefd, &qmp_type_fdname_args},
    {"add-fd", "Add the file descriptor that comes with this command (SCM_RIGHTS) to a set, to be "
     "opened as /dev/fdset/N.", qmp_run_add_fd, &qmp_type_add_fd_args, &qmp_type_add_fd},
    {"remove-fd", "Close a file descriptor of a set, or all of them.",
     qmp_run_remove_fd, &qmp_type_remove_fd_args},
    {"query-fdsets", "The sets of file descriptors.",
     qmp_run_query_fdsets, .ret = &qmp_type_fdsets},

    {"migrate", "Start to move the VM: to another host, into a file, or (with parameter local) to another "
     "process of this host.",
     qmp_run_migrate, &qmp_type_migrate_args, .host = true},
    {"migrate-incoming", "Begin to listen for a VM.",
     qmp_run_migrate_incoming, &qmp_type_migrate_incoming_args, .host = true},
    {"migrate_cancel", "Give up the migration under way, if there is one.",
     qmp_run_migrate_cancel, &qmp_type_job_args, .oob = true},
    {"migrate-continue", "End the pause before the switchover.",
     qmp_run_migrate_continue, &qmp_type_migrate_continue_args},
    {"migrate-start-postcopy", "Postcopy is not served by this version.",
     qmp_run_migrate_start_postcopy},
    {"migrate-pause", "Break a postcopy migration; not served by this version.",
     qmp_run_migrate_pause, .oob = true},
    {"migrate-recover", "Listen again for a postcopy migration that broke; not served by this "
     "version.", qmp_run_migrate_recover, &qmp_type_migrate_recover_args, .oob = true},
    {"query-migrate", "How the last migration goes or went; or that which was given the name "
     "`ferry-job`, if it is known here.",
     qmp_run_query_migrate, &qmp_type_job_args, .ret = &qmp_type_migration_info},
    {"query-migrationthreads", "The threads that send a migration, while it runs.",
     qmp_run_migration_threads, .ret = &qmp_type_migration_threads},
    {"migrate-set-capabilities", "Switch migration capabilities on and off.",
     qmp_run_set_capabilities, &qmp_type_set_capabilities_args},
    {"query-migrate-capabilities", "All migration capabilities and their state.",
     qmp_run_query_capabilities, .ret = &qmp_type_capability_list},
    {"migrate-set-parameters", "Set migration parameters; those not given keep their value.",
     qmp_run_set_parameters, &qmp_type_parameters},
    {"query-migrate-parameters", "All migration parameters.",
     qmp_run_query_parameters, .ret = &qmp_type_parameters},

    {"calc-dirty-rate", "Measure how much memory the guest writes to.",
     qmp_run_calc_dirty_rate, &qmp_type_calc_dirty_rate_args},
    {"query-dirty-rate", "The last measurement.", qmp_run_query_dirty_rate,
     &qmp_type_query_dirty_rate_args, &qmp_type_dirty_rate},

    {"ferry-update", "Start a new process (of another binary, if given), hand the running VM over "
     "to it and end; answers when the guest runs there, with the ledger of the pause.",
     qmp_run_update, &qmp_type_update_args, &qmp_type_ledger, .host = true},
    {"ferry-migrate-check", "Ask the target at an address whether it would take this VM; nothing "
     "moves. The error names every difference.",
     qmp_run_migrate_check, &qmp_type_migrate_check_args, .host = true},
    {"ferry-snapshot", "Write the VM into a file as `migrate` does; then the guest goes on here.",
     qmp_run_snapshot, &qmp_type_migrate_check_args, .host = true},
    {"ferry-migrate-ledger", "Where the pause of the last migration went, by the clocks of both "
     "sides.", qmp_run_migrate_ledger, .ret = &qmp_type_migrate_ledger},
    {"ferry-override-fence", "The guest of this VM, which was migrated away, runs nowhere else: "
     "allow `cont` here. If it does run elsewhere, both copies destroy its disks.",
     qmp_run_override_fence},
    {"ferry-netdevs", "The netdevs: what they are connected to, since when, and the guest's links.",
     qmp_run_netdevs, .ret = &qmp_type_netdev_list},
    {"ferry-chardev-disconnect", "Close the connection of whoever is connected to a chardev; the "
     "next one that waits is served.", qmp_run_chardev_disconnect,
     &qmp_type_chardev_disconnect_args},
    {"ferry-ledger", "Where the pause of the last live update went.",
     qmp_run_ledger, .ret = &qmp_type_ledger},
    {0},
};

static const struct qmp_event events[] = {
    {"STOP", "The guest has stopped."},
    {"RESUME", "The guest runs."},
    {"RESET", "The machine was reset.", &qmp_type_shutdown_data},
    {"SHUTDOWN", "The VM ends.", &qmp_type_shutdown_data},
    {"POWERDOWN", "The guest was asked to power off."},
    {"BLOCK_IO_ERROR", "The host could not do what the guest asked of a disk. Not more than once a "
     "second for a disk, unless the guest stops.", &qmp_type_io_error_data},
    {"BALLOON_CHANGE", "The guest's balloon holds more or less than before. Not more than once a "
     "second.", &qmp_type_balloon_info},
    {"FERRY_UPDATED", "Another process runs the VM now, and this connection is its: an update from "
     "one ferry to another, which paused the guest for so long. STOP, RESUME and MIGRATION are not "
     "told of it.", &qmp_type_updated_data},
    {"NETDEV_STREAM_CONNECTED", "A stream netdev has a peer now.",
     &qmp_type_netdev_connected_data},
    {"NETDEV_STREAM_DISCONNECTED", "A stream netdev has lost its peer.",
     &qmp_type_netdev_disconnected_data},
    {"MIGRATION", "The status of a migration changed (with capability `events`).",
     &qmp_type_migration_status_data},
    {"MIGRATION_PASS", "A migration begins to go through RAM once more (with capability `events`).",
     &qmp_type_migration_pass_data},
    {0},
};
/* clang-format on */

const struct qmp_table qmp_ferry_table = {
    .commands = commands,
    .events = events,
    .start = qmp_state_new,
    .stop = qmp_state_free,
    .updated = qmp_report_update,
};
