/* cli/terminal.h -- the terminal in raw mode on its other screen, given back on every way out
 *
 *   terminal_enter --> raw keys, alternate screen, no cursor --> terminal_leave
 *                          \--> SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, exit(): restored by a handler, and the signal goes its way
 *
 * One terminal per process: the handlers need to find it. SIGINT and SIGTERM are the caller's (raw mode sends Ctrl+C as a byte).
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum key {
    KEY_NONE = 0, /* 1..127: that character */
    KEY_UP = 256,
    KEY_DOWN,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_HOME,
    KEY_END,
};

/* ERR_UNSUPPORTED when stdin or stdout is no terminal. */
int terminal_enter(struct err *err) _must_check_;
void terminal_leave(void); /* fine when it was not entered */

void terminal_put(struct str bytes); /* waits for a slow terminal */

void terminal_size(unsigned *ret_columns, unsigned *ret_lines); /* 80 x 24 when it does not tell */

/* Takes one key off *BYTES; KEY_NONE with *BYTES emptied for what is no key of ours. A lone ESC is the character 27. */
int terminal_key(struct str *bytes);
