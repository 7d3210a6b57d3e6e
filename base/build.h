/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which build of ferry this program is. Two programs of one version need not be the same one; the
 * linker's build ID, a digest of what is in the program (its ELF note NT_GNU_BUILD_ID), tells them
 * apart without a repository or a clock. Any thread.
 */
#pragma once

#define BUILD_TEXT_BYTES 48

/* "0.1.0 (3f2a9c1d0b7e)": version, and the first 12 digits of the build ID; "(unknown)" without. */
const char *build_text(char text[static BUILD_TEXT_BYTES]);
