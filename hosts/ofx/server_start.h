/* Starting the render server of this machine in the background. */
#ifndef IMPASTO_SERVER_START_H
#define IMPASTO_SERVER_START_H

#include "wire.h"

/* Runs the command that `impasto ofx install` wrote into the bundle, detached from the host: it outlives it. 0, or -1
   with the reason. A second server ends by itself. */
int start_server(const char *bundle, char problem[WIRE_TEXT]);

#endif
