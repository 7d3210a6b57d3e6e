/* SPDX-License-Identifier: Apache-2.0 */
/* What sandbox.c puts together. */
#pragma once

#include "vmm/sandbox/sandbox.h"

/* What looks for faults calls what nobody else does: such a build has wider filters. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED
#endif
#endif

/* --- privileges.c --- */
int privileges_renounce(struct ferry_err *err) FERRY_MUST_CHECK; /* new ones, for ever */
int privileges_drop(struct ferry_err *err) FERRY_MUST_CHECK;     /* those of this thread */

/* --- filter.c --- */
bool filter_is_available(void);
/* A refusal is said, and an error. Before another filter can refuse something. */
int filter_catch_refusals(struct ferry_err *err) FERRY_MUST_CHECK;
int filter_install(enum sandbox_role role, struct ferry_err *err) FERRY_MUST_CHECK;

/* --- landlock.c --- */
int landlock_version(void); /* of the kernel; 0 = it has none, or it is switched off */
int landlock_enter(const struct sandbox_path *paths, size_t count,
                   struct ferry_err *err) FERRY_MUST_CHECK;

/* --- rules.c --- */
struct sandbox_rule {
    int call;       /* its number; negative: this host has no such call */
    unsigned roles; /* a bit for each: SANDBOX_BIT(role) */
    enum { ALWAYS, IF_EQUAL, IF_MASKED, ANSWERS } when;
    unsigned argument;              /* which, for IF_* */
    unsigned long long mask, value; /* IF_MASKED: (argument & mask) == value; IF_EQUAL: value */
    int answer;                     /* ANSWERS: the errno that it fails with, in silence */
};
#define SANDBOX_BIT(role) (1u << (role))
extern const struct sandbox_rule sandbox_rules[];
extern const size_t sandbox_rule_count;
/* For sentences; NULL: it is not one that a guest would try. */
const char *sandbox_call_name(int call);
