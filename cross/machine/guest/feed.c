/* Plays pictures into a V4L2 output, as the camera behind a v4l2loopback device.
 *
 *   feed DEVICE WIDTH HEIGHT FOURCC FPS DIR
 *
 * DIR holds a frame a file: 00, 01, ... and from the first that is missing over again. It is looked at for each frame, so that a link
 * that is turned to another folder changes the picture. A file is written as it is; one in PNM (P5 for GREY, P6 for YUYV) is converted.
 * SIGUSR1 stalls: the device stays open and nothing is written, until the next SIGUSR1; SIGUSR2 lets one frame through meanwhile. */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static volatile sig_atomic_t stalled, one_more;

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		stalled = !stalled;
	else
		one_more = 1;
}

/* BT.601, limited range; the chroma of every other pixel. */
static void yuyv(unsigned char *out, const unsigned char *rgb, size_t pixels)
{
	for (size_t i = 0; i < pixels; i++, rgb += 3) {
		int r = rgb[0], g = rgb[1], b = rgb[2];
		out[2 * i] = 16 + ((66 * r + 129 * g + 25 * b + 128) >> 8);
		out[2 * i + 1] = i % 2 ? 128 + ((112 * r - 94 * g - 18 * b + 128) >> 8) : 128 + ((-38 * r - 74 * g + 112 * b + 128) >> 8);
	}
}

/* Reads a file; returns its length, or -1. */
static ssize_t slurp(const char *path, unsigned char *into, size_t room)
{
	int fd = open(path, O_RDONLY);
	size_t length = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while ((n = read(fd, into + length, room - length)) > 0)
		length += n;
	close(fd);
	return length;
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fprintf(stderr, "feed DEVICE WIDTH HEIGHT FOURCC FPS DIR\n");
		return 2;
	}
	int width = atoi(argv[2]), height = atoi(argv[3]), fps = atoi(argv[5]);
	size_t pixels = (size_t)width * height, room = pixels * 4;
	const char *fourcc = argv[4], *dir = argv[6];
	int device = open(argv[1], O_RDWR);

	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	if (device < 0) {
		perror(argv[1]);
		return 1;
	}
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	format.fmt.pix.width = width;
	format.fmt.pix.height = height;
	format.fmt.pix.field = V4L2_FIELD_NONE;
	format.fmt.pix.pixelformat = v4l2_fourcc(fourcc[0], fourcc[1], fourcc[2], fourcc[3]);
	format.fmt.pix.sizeimage = pixels * 2;
	struct v4l2_streamparm rate = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	rate.parm.output.timeperframe.numerator = 1;
	rate.parm.output.timeperframe.denominator = fps;
	if (ioctl(device, VIDIOC_S_FMT, &format) < 0 || ioctl(device, VIDIOC_S_PARM, &rate) < 0) {
		perror("format");
		return 1;
	}
	unsigned char *file = malloc(room), *frame = malloc(room);

	for (int i = 0;; i++) {
		char path[256];
		unsigned char *bytes = file;
		ssize_t length;
		int header = 0, w, h;

		while (stalled && !one_more)
			usleep(10000);
		one_more = 0;
		snprintf(path, sizeof path, "%s/%02d", dir, i);
		length = slurp(path, file, room);
		if (length < 0) {
			if (i == 0)
				usleep(10000);
			i = -1;
			continue;
		}
		if (length > 2 && file[0] == 'P' && (sscanf((char *)file + 2, "%d %d 255%n", &w, &h, &header) != 2 || w != width || h != height)) {
			fprintf(stderr, "%s: not %dx%d\n", path, width, height);
			return 1;
		}
		if (header && file[1] == '6') {
			yuyv(frame, file + 2 + header + 1, pixels);
			bytes = frame;
			length = pixels * 2;
		} else if (header) {
			bytes = file + 2 + header + 1;
			length = pixels;
		}
		if (write(device, bytes, length) != length) {
			perror("write");
			return 1;
		}
		usleep(1000000 / fps);
	}
}
