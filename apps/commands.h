/* commands.h — the subcommands: each is one file that ends in its table. */
#ifndef APPS_COMMANDS_H
#define APPS_COMMANDS_H

#include "apps/app.h"

extern const struct cli_command app_gather;
extern const struct cli_command app_train;
extern const struct cli_command app_eval;
extern const struct cli_command app_predict;
extern const struct cli_command app_detect;
extern const struct cli_command app_landmarks;
extern const struct cli_command app_demo;
extern const struct cli_command app_cameras;
extern const struct cli_command app_convert;
extern const struct cli_command app_summary;
extern const struct cli_command app_bench;
extern const struct cli_command app_synth;

#endif
