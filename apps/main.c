/* main.c — the program `liveness`: only main(), so that tests can link everything else. */
#include "apps/app.h"

int main(int argc, char **argv)
{
    return app_main(argc, argv, NULL);
}
