/* cli/terminal.c -- termios and a dozen escape sequences that every terminal of the last thirty years obeys */
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/attr.h"

#define ENTER "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H" /* other screen, no cursor, clear, home */
#define LEAVE "\x1b[0m\x1b[?25h\x1b[?1049l"

static const int FATAL[] = { SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };

/* The one terminal. Written before the handlers are set and read by them. */
static struct {
    volatile sig_atomic_t entered;
    struct termios before;
    int flags; /* of the file descriptions that stdin and stdout are: a loop makes them non-blocking, and a shell shares them */
    struct sigaction old[ARRAY_LEN(FATAL)];
    bool at_exit;
} terminal;

void terminal_put(struct str bytes)
{
    while (bytes.n) {
        ssize_t w = write(STDOUT_FILENO, bytes.p, bytes.n);

        if (w >= 0)
            bytes = str_skip(bytes, (size_t)w);
        else if (errno == EAGAIN)
            (void)poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1,
                       1000); /* then it is tried again in any case */
        else if (errno != EINTR)
            return; /* the terminal is gone: nobody is left to tell */
    }
}

/* Calls nothing that a signal handler may not. */
static void restore(void)
{
    if (!terminal.entered)
        return;
    terminal.entered = 0;
    terminal_put(STR(LEAVE));
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.before); /* this and the next fail only when the terminal is gone */
    (void)fcntl(STDIN_FILENO, F_SETFL, terminal.flags);
}

/* The former action is back when the signal comes again: at once for a fault, which repeats itself, else by raise(). */
static void on_fatal(int signum)
{
    restore();
    for (size_t i = 0; i < ARRAY_LEN(FATAL); i++)
        if (FATAL[i] == signum)
            (void)sigaction(signum, &terminal.old[i], NULL);
    if (signum == SIGHUP || signum == SIGQUIT || signum == SIGABRT)
        (void)raise(signum);
}

int terminal_enter(struct err *err)
{
    struct sigaction action = { .sa_handler = on_fatal };
    struct termios raw;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &terminal.before) < 0)
        return err_set(err, ERR_UNSUPPORTED, "this needs a terminal; --once prints one frame anywhere");
    terminal.flags = fcntl(STDIN_FILENO, F_GETFL);
    raw = terminal.before;
    raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (!terminal.at_exit && atexit(restore) != 0)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    terminal.at_exit = true;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(FATAL); i++)
        (void)sigaction(FATAL[i], &action, &terminal.old[i]); /* fails for no signal of this list */
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
        return err_set(err, ERR_IO, "the terminal refuses raw mode");
    terminal.entered = 1;
    terminal_put(STR(ENTER));
    return 0;
}

void terminal_leave(void)
{
    if (!terminal.entered)
        return;
    restore();
    for (size_t i = 0; i < ARRAY_LEN(FATAL); i++)
        (void)sigaction(FATAL[i], &terminal.old[i], NULL);
}

void terminal_size(unsigned *ret_columns, unsigned *ret_lines)
{
    struct winsize w = { 0 };

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w); /* zeroes say that it does not tell */
    *ret_columns = w.ws_col ? w.ws_col : 80;
    *ret_lines = w.ws_row ? w.ws_row : 24;
}

/* ESC [ A, ESC O A, ESC [ 5 ~ ... */
static const struct {
    struct str bytes;
    int key;
} SEQUENCES[] = {
    { STR_INIT("\x1b[A"), KEY_UP },   { STR_INIT("\x1b[B"), KEY_DOWN },     { STR_INIT("\x1bOA"), KEY_UP },
    { STR_INIT("\x1bOB"), KEY_DOWN }, { STR_INIT("\x1b[5~"), KEY_PAGE_UP }, { STR_INIT("\x1b[6~"), KEY_PAGE_DOWN },
    { STR_INIT("\x1b[H"), KEY_HOME }, { STR_INIT("\x1b[F"), KEY_END },      { STR_INIT("\x1bOH"), KEY_HOME },
    { STR_INIT("\x1bOF"), KEY_END },  { STR_INIT("\x1b[1~"), KEY_HOME },    { STR_INIT("\x1b[4~"), KEY_END },
};

int terminal_key(struct str *bytes)
{
    int c;

    for (size_t i = 0; i < ARRAY_LEN(SEQUENCES); i++) {
        if (str_has_prefix(*bytes, SEQUENCES[i].bytes)) {
            *bytes = str_skip(*bytes, SEQUENCES[i].bytes.n);
            return SEQUENCES[i].key;
        }
    }
    if (bytes->n == 0)
        return KEY_NONE;
    c = (unsigned char)bytes->p[0];
    if (c > 127 || (c == 27 && bytes->n > 1)) {
        *bytes = STR_NONE;
        return KEY_NONE;
    }
    *bytes = str_skip(*bytes, 1);
    return c;
}
