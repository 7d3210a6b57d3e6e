/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/tables.h"

const char *const live_event_names[LIVE_EVENT_COUNT] = {
    [LIVE_EVENT_NONE] = "nothing",
    [LIVE_EVENT_HELLO] = "HELLO",
    [LIVE_EVENT_READY] = "READY",
    [LIVE_EVENT_REFUSE] = "REFUSE",
    [LIVE_EVENT_FDS] = "FDS",
    [LIVE_EVENT_STATE] = "STATE",
    [LIVE_EVENT_LOADED] = "LOADED",
    [LIVE_EVENT_COMMIT] = "COMMIT",
    [LIVE_EVENT_RUNNING] = "RUNNING",
    [LIVE_EVENT_ABORT] = "ABORT",
    [LIVE_EVENT_SOON] = "SOON",
    [LIVE_EVENT_BEGIN] = "begin",
    [LIVE_EVENT_SENT] = "all sent",
    [LIVE_EVENT_DRAINED] = "drained",
    [LIVE_EVENT_FAULTED_IN] = "RAM entered",
    [LIVE_EVENT_GONE] = "peer gone",
    [LIVE_EVENT_DUE] = "deadline",
    [LIVE_EVENT_CANCEL] = "cancel",
    [LIVE_EVENT_FAULT] = "fault",
    [LIVE_EVENT_OWN_UNMOVED] = "lock free, guest did not run",
    [LIVE_EVENT_OWN_MOVED] = "lock free, guest ran",
    [LIVE_EVENT_OWN_THEIRS] = "lock theirs",
};
