/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers and types that commands.c lists, by topic. */
#pragma once

#include "vmm/qmp/command.h"

#define QMP_HANDLER(name)                                                               \
    int name(struct qmp_call *call, struct json_object *args, struct json_object **ret, \
             struct ferry_err *err)

/* cmd_session.c: the monitor itself. */
QMP_HANDLER(qmp_run_capabilities);
QMP_HANDLER(qmp_run_query_version);
QMP_HANDLER(qmp_run_query_commands);
QMP_HANDLER(qmp_run_query_schema);
extern const struct qmp_type qmp_type_capabilities_args, qmp_type_version, qmp_type_command_list;
extern const struct qmp_type qmp_type_schema;

/* cmd_run.c: the life of the VM. */
QMP_HANDLER(qmp_run_query_status);
QMP_HANDLER(qmp_run_stop);
QMP_HANDLER(qmp_run_cont);
QMP_HANDLER(qmp_run_quit);
QMP_HANDLER(qmp_run_system_reset);
QMP_HANDLER(qmp_run_system_powerdown);
QMP_HANDLER(qmp_run_system_wakeup);
extern const struct qmp_type qmp_type_status, qmp_type_run_state, qmp_type_shutdown_data;

/* cmd_machine.c: what the VM is. */
QMP_HANDLER(qmp_run_query_name);
QMP_HANDLER(qmp_run_query_uuid);
QMP_HANDLER(qmp_run_query_vm_generation_id);
QMP_HANDLER(qmp_run_query_target);
QMP_HANDLER(qmp_run_query_kvm);
QMP_HANDLER(qmp_run_query_cpus_fast);
QMP_HANDLER(qmp_run_query_memory_size_summary);
QMP_HANDLER(qmp_run_query_chardev);
QMP_HANDLER(qmp_run_chardev_disconnect);
extern const struct qmp_type qmp_type_name, qmp_type_uuid, qmp_type_guid, qmp_type_target,
    qmp_type_kvm;
extern const struct qmp_type qmp_type_cpu_list, qmp_type_memory_size, qmp_type_chardev_list,
    qmp_type_chardev_disconnect_args;

/* cmd_block.c */
QMP_HANDLER(qmp_run_query_block);
QMP_HANDLER(qmp_run_query_nodes);
extern const struct qmp_type qmp_type_query_nodes_args, qmp_type_node_list;
extern const struct qmp_type qmp_type_block_list, qmp_type_io_error_data;
struct config_disk;
struct vm_config;
/* The disk that shows a drive to the guest; NULL: none. */
const struct config_disk *qmp_find_disk(const struct vm_config *config, const char *drive);
/* Its name in QEMU's tree of objects, "" without an id; a string, the caller's. */
struct json_object *qmp_disk_path(const struct config_disk *disk);
/* An error can stop the guest: only then there is a status to look at. */
bool qmp_disk_has_status(const struct config_disk *disk);

/* cmd_net.c */
QMP_HANDLER(qmp_run_netdevs);
QMP_HANDLER(qmp_run_set_link);
extern const struct qmp_type qmp_type_netdev_list, qmp_type_set_link_args;
extern const struct qmp_type qmp_type_netdev_connected_data, qmp_type_netdev_disconnected_data;

/* cmd_netdev.c */
QMP_HANDLER(qmp_run_netdev_add);
QMP_HANDLER(qmp_run_netdev_del);
extern const struct qmp_type qmp_type_netdev_add_args, qmp_type_netdev_del_args;

/* cmd_chardev.c */
QMP_HANDLER(qmp_run_chardev_add);
QMP_HANDLER(qmp_run_chardev_remove);
extern const struct qmp_type qmp_type_chardev_add_args, qmp_type_chardev_return,
    qmp_type_chardev_remove_args;

/* cmd_blockdev.c */
QMP_HANDLER(qmp_run_blockdev_add);
QMP_HANDLER(qmp_run_blockdev_del);
/* Of arguments that nobody has checked: the name of the image, a loan or NULL, and how to open it:
 * an access mode, and O_DIRECT or not. */
const char *qmp_blockdev_image(struct json_object *args, int *ret_flags);
extern const struct qmp_type qmp_type_blockdev_add_args, qmp_type_blockdev_del_args;

/* cmd_device.c */
QMP_HANDLER(qmp_run_device_list_properties);
QMP_HANDLER(qmp_run_qom_list_types);
extern const struct qmp_type qmp_type_typename_args, qmp_type_property_list;
extern const struct qmp_type qmp_type_qom_list_types_args, qmp_type_object_type_list;

/* cmd_hmp.c */
QMP_HANDLER(qmp_run_human);
extern const struct qmp_type qmp_type_human_args;

/* cmd_fd.c */
QMP_HANDLER(qmp_run_getfd);
QMP_HANDLER(qmp_run_closefd);
QMP_HANDLER(qmp_run_add_fd);
QMP_HANDLER(qmp_run_remove_fd);
QMP_HANDLER(qmp_run_query_fdsets);
extern const struct qmp_type qmp_type_fdname_args, qmp_type_add_fd_args, qmp_type_add_fd;
extern const struct qmp_type qmp_type_remove_fd_args, qmp_type_fdsets;

/* cmd_migrate.c */
struct ferry_address;
/* Where arguments that nobody has checked send a migration to, or let one come from. */
int qmp_migrate_address(struct json_object *args, bool incoming, struct ferry_address **ret,
                        struct ferry_err *err) FERRY_MUST_CHECK;
QMP_HANDLER(qmp_run_migrate);
QMP_HANDLER(qmp_run_migrate_incoming);
QMP_HANDLER(qmp_run_migrate_cancel);
QMP_HANDLER(qmp_run_migrate_continue);
QMP_HANDLER(qmp_run_migrate_check);
QMP_HANDLER(qmp_run_snapshot);
QMP_HANDLER(qmp_run_override_fence);
QMP_HANDLER(qmp_run_migrate_start_postcopy);
QMP_HANDLER(qmp_run_migrate_pause);
QMP_HANDLER(qmp_run_migrate_recover);
extern const struct qmp_type qmp_type_migrate_recover_args;
extern const struct qmp_type qmp_type_migrate_args, qmp_type_migrate_incoming_args;
/* Of a command about a migration that may have a name. */
extern const struct qmp_type qmp_type_job_args;
extern const struct qmp_type qmp_type_migrate_continue_args, qmp_type_migrate_check_args;
extern const struct qmp_type qmp_type_socket_address, qmp_type_unix_address;

/* cmd_migrate_settings.c */
QMP_HANDLER(qmp_run_set_capabilities);
QMP_HANDLER(qmp_run_query_capabilities);
QMP_HANDLER(qmp_run_set_parameters);
QMP_HANDLER(qmp_run_query_parameters);
extern const struct qmp_type qmp_type_set_capabilities_args, qmp_type_capability_list;
extern const struct qmp_type qmp_type_parameters;

/* cmd_migrate_status.c */
QMP_HANDLER(qmp_run_query_migrate);
QMP_HANDLER(qmp_run_migration_threads);
extern const struct qmp_type qmp_type_migration_threads;
QMP_HANDLER(qmp_run_update);
QMP_HANDLER(qmp_run_ledger);
/* What qmp_run_update() answers, in the process that runs the VM then. */
int qmp_report_update(struct qmp_call *call, struct json_object **ret, struct ferry_err *err);
extern const struct qmp_type qmp_type_updated_data;
QMP_HANDLER(qmp_run_migrate_ledger);
extern const struct qmp_type qmp_type_migration_info, qmp_type_migration_status_data;
extern const struct qmp_type qmp_type_update_args, qmp_type_ledger;
extern const struct qmp_type qmp_type_migration_pass_data, qmp_type_migrate_ledger;
extern const struct qmp_type qmp_type_migration_status;

/* cmd_dirty_rate.c */
QMP_HANDLER(qmp_run_calc_dirty_rate);
QMP_HANDLER(qmp_run_query_dirty_rate);
extern const struct qmp_type qmp_type_calc_dirty_rate_args, qmp_type_query_dirty_rate_args;
extern const struct qmp_type qmp_type_dirty_rate;

/* cmd_balloon.c */
QMP_HANDLER(qmp_run_balloon);
QMP_HANDLER(qmp_run_query_balloon);
extern const struct qmp_type qmp_type_balloon_args, qmp_type_balloon_info;
/* BALLOON_CHANGE, not more than once a second: the last one counts. */
struct balloon_events;
int balloon_events_new(struct balloon_events **ret, struct monitor *m,
                       struct ferry_err *err) FERRY_MUST_CHECK;
void balloon_events_free(struct balloon_events *b);
void balloon_events_changed(struct balloon_events *b);

/* What the commands keep between calls: the monitor's state (monitor_state). */
struct qmp_state;
struct dirty_rate;
int qmp_state_new(struct monitor *m, void **ret, struct ferry_err *err) FERRY_MUST_CHECK;
void qmp_state_free(void *state);
struct dirty_rate *qmp_state_dirty_rate(struct monitor *m);
int dirty_rate_new(struct dirty_rate **ret, struct monitor *m,
                   struct ferry_err *err) FERRY_MUST_CHECK;
void dirty_rate_free(struct dirty_rate *d);

/* Members and enumerations in place: QMP_MEMBERS({"a", &qmp_str}, {"b", &qmp_int, true}). */
#define QMP_MEMBERS(...)                   \
    .members = (const struct qmp_member[]) \
    {                                      \
        __VA_ARGS__,                       \
        {                                  \
            0                              \
        }                                  \
    }
#define QMP_VALUES(...)             \
    .values = (const char *const[]) \
    {                               \
        __VA_ARGS__, NULL           \
    }
