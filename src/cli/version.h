/* cli/version.h -- what this binary is (spec operations 7) */
#pragma once

int version_print(void);         /* "smg 0.1.0" */
int version_print_verbose(void); /* with build time, mode, platform, commit, compiler */
