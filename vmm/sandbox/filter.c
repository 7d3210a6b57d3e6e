/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A role's rules as a filter of the kernel. What no rule allows is trapped: it is said, with the
 * thread that tried, and fails with EPERM. The process goes on, because a call that somebody forgot
 * must not cost a guest; one that a guest tries is refused all the same.
 */
#include <errno.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/sandbox/parts.h"

bool filter_is_available(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

static void answer(ucontext_t *context, long value)
{
#if defined(__x86_64__)
    context->uc_mcontext.gregs[REG_RAX] = value;
#elif defined(__aarch64__)
    context->uc_mcontext.regs[0] = (unsigned long long)value;
#elif defined(__riscv)
    context->uc_mcontext.__gregs[REG_A0] = (unsigned long)value;
#else
#error "where does a system call's result go on this host?"
#endif
}

/* Only what may be called in a signal handler, and in every role. */
static void refused(int signum, siginfo_t *info, void *context)
{
    const char *name = sandbox_call_name(info->si_syscall);
    int saved_errno = errno;
    char thread[17] = "", line[128];
    int n;

    prctl(PR_GET_NAME, thread);
    n = snprintf(line, sizeof(line), "ferry: sandbox: thread %s: system call %s (%d) refused\n",
                 thread, name ? name : "", info->si_syscall);
    (void)!write(STDERR_FILENO, line, (size_t)n);
    errno = saved_errno;
    answer(context, -EPERM);
}

int filter_catch_refusals(struct ferry_err *err)
{
    struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t set;

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return err_sys(err, errno, "cannot catch SIGSYS");
    /* A blocked one would end the process. */
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return 0;
}

static int add(scmp_filter_ctx ctx, const struct sandbox_rule *r)
{
    const struct scmp_arg_cmp equal = {.arg = r->argument, .op = SCMP_CMP_EQ, .datum_a = r->value};
    const struct scmp_arg_cmp masked = {
        .arg = r->argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = r->mask, .datum_b = r->value};

    switch (r->when) {
    case ALWAYS:
        return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, r->call, 0, NULL);
    case ANSWERS:
        return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((unsigned)r->answer), r->call, 0, NULL);
    case IF_EQUAL:
        return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, r->call, 1, &equal);
    case IF_MASKED:
        return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, r->call, 1, &masked);
    }
    return -EINVAL;
}

/* A thread can end itself only: the process's own number is not known before it runs. */
static int add_own_signals(scmp_filter_ctx ctx)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

int filter_install(enum sandbox_role role, struct ferry_err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
    int rc = ctx ? 0 : -ENOMEM;

    if (!rc)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    /* Older kernels would slow the whole thread down, to keep apart what is one process here. */
    if (!rc)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
    if (!rc)
        rc = add_own_signals(ctx);
    for (size_t i = 0; i < sandbox_rule_count && !rc; i++)
        if (sandbox_rules[i].roles & SANDBOX_BIT(role) && sandbox_rules[i].call >= 0)
            rc = add(ctx, &sandbox_rules[i]);
    if (!rc)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc < 0 ? err_sys(err, -rc, "cannot filter system calls") : 0;
}
