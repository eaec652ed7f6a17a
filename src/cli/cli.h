/* cli/cli.h -- the subcommands of smg; each gets the arguments behind its name and returns the process's exit status
 *
 * main.c finds the command; one file per command reads its options (config/option.h) and runs it. Exit status: 0 done, 1 could not, 2 wrong usage.
 * Errors are one line each on stderr: "smg: error: <text>".
 */
#pragma once

#include "config/option.h"

int cli_launch(int argc, const char *const *argv);      /* launch, start, or no command at all */
int cli_mock_engine(int argc, const char *const *argv); /* mock-engine */
int cli_bench(int argc, const char *const *argv);       /* bench */

/* The tables behind --help and docs/reference. */
extern const struct option_table MOCK_TABLE, BENCH_TABLE;

/* What follows from options_parse's result R: prints the help or the report; returns the exit status (0 with R = 0: go on). */
int cli_parsed(int r, const struct option_table *table, const struct option_report *report);
/* Prints what a report holds; returns its exit status. */
int cli_print_report(const struct option_report *report);
/* Prints the help of TABLE for the terminal's width; returns 0. */
int cli_print_help(const struct option_table *table);
/* Prints "smg: error: <message>" and returns 1. */
int cli_fail(const struct err *err);
