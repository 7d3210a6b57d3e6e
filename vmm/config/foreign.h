/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that somebody else described: a peer, or whoever wrote a file. Of the description only
 * the machine that the guest sees is taken; what it has of this host (files, sockets, TAPs, where
 * its console goes) is what this host's command line gives or allows. Which word is which stands
 * beside each option and sub-option (enum prop_whose).
 *
 * A handover between two processes of one host needs none of this: there everything arrives open.
 */
#pragma once

#include <ferry/err.h>

#include "vmm/config/options.h"
#include "vmm/config/this_host.h"

/*
 * *o: empty before, empty on failure. Looks at nothing of the host. What the machine needs and
 * nobody gave is named in one sentence with the options that give it. What was given is added to
 * the names that host->allow opens.
 */
int foreign_options(struct options *o, const char *description, const struct this_host *host,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/* The machine that these make: is it of a size and a name that this host takes? */
int foreign_check(const struct vm_config *c, const struct this_host *host,
                  struct ferry_err *err) FERRY_MUST_CHECK;
