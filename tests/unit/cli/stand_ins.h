/* stand_ins.h -- what main.c gives to the other files of cli/, for tests of one of them */
#pragma once

#include "test.h"

#include "cli/cli.h"

static struct err failed_with; /* the last cli_fail */

int cli_fail(const struct err *e)
{
    failed_with = *e;
    return CLI_FAILED;
}

int cli_parsed(int r, const struct option_table *table, const struct option_report *report)
{
    return r == 0 ? CLI_OK : CLI_USAGE;
}
