/* picture.c - libpng at work: RGB, eight bits each. */
#include "display/picture.h"

#include "vga.h"

#include <errno.h>
#include <glib.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

bool picture_write(const struct device *vga, const char *path, struct err *err)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB };
    unsigned width, height;
    uint8_t *rgb;
    FILE *file;
    bool ok;

    vga_size(vga, &width, &height);
    image.width = width && height ? width : 1;
    image.height = width && height ? height : 1;
    rgb = g_malloc0((size_t)image.width * image.height * 3);
    if (width && height)
        vga_draw(vga, rgb);
    file = fopen(path, "wb");
    ok = file && png_image_write_to_stdio(&image, file, 0, rgb, 0, NULL);
    if (!file || fclose(file) || !ok) {
        err_set(err, "%s: %s", path, file && *image.message ? image.message : strerror(errno));
        ok = false;
    }
    g_free(rgb);
    return ok;
}
