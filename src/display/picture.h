/* picture.h - a guest's screen as a PNG file. */
#ifndef DISPLAY_PICTURE_H
#define DISPLAY_PICTURE_H

#include "base/err.h"
#include "device.h"

/* What is on the screen of a VGA now, to a file that is made anew; a screen that is off is one black pixel. */
bool picture_write(const struct device *vga, const char *path, struct err *err);

#endif
