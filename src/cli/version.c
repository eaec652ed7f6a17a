#include "cli/version.h"

#include <stdio.h>

int version_print(void)
{
    return printf("smg %s\n", SMG_VERSION) < 0;
}

int version_print_verbose(void)
{
    int n = printf("smg %s\n\n"
                   "Build Information:\n"
                   "  Build Time: %s\n"
                   "  Build Mode: %s\n"
                   "  Platform: %s\n\n"
                   "Version Control:\n"
                   "  Git Branch: %s\n"
                   "  Git Commit: %s\n"
                   "  Git Status: %s\n\n"
                   "Compiler:\n"
                   "  %s\n"
                   "  meson %s\n",
                   SMG_VERSION, SMG_BUILD_TIME, SMG_BUILD_MODE, SMG_PLATFORM, SMG_GIT_BRANCH, SMG_GIT_COMMIT, SMG_GIT_STATUS,
                   SMG_COMPILER, SMG_MESON);

    return n < 0;
}
