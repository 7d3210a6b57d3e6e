/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault injection for tests and drills: --fault POINT=ACTION, where POINT is a named point of the
 * handover (ferry run --help lists them) and ACTION one of
 *
 *   kill   SIGKILL this process          stop   SIGSTOP it: it hangs from here on
 */
#pragma once

#include <ferry/err.h>
#include <ferry/live.h>

enum fault_action { FAULT_NONE = 0, FAULT_KILL, FAULT_STOP };

struct fault {
    enum ferry_live_point point;
    enum fault_action action;
};

int fault_parse(struct fault *f, const char *text, struct ferry_err *err) FERRY_MUST_CHECK;
void fault_at(const struct fault *f, enum ferry_live_point point);
