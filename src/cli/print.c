/* cli/print.c -- what a command says on standard output, and whether it got there */
#include <stdio.h>

#include "cli/cli.h"

int cli_flush(void)
{
    return fflush(stdout) ? cli_fail(&(struct err){ ERR_IO, "standard output could not be written" }) : CLI_OK;
}

int cli_print(const struct buf *out)
{
    if (out->failed)
        return cli_fail(&(struct err){ .code = ERR_NOMEM });
    if (out->n)
        (void)fwrite(out->p, 1, out->n, stdout); /* the stream remembers a failure: fflush tells of it, or ferror */
    return ferror(stdout) ? cli_fail(&(struct err){ ERR_IO, "standard output could not be written" }) : cli_flush();
}
