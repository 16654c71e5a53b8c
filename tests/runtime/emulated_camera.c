/* A V4L2 camera, loaded by LD_PRELOAD: /dev/video0 gives 320 x 240 YUYV at 25 frames/s, in real time.
 *
 * EMULATED_CAMERA=n       it is /dev/video<n>.
 * EMULATED_CAMERA_LAST=k  it is pulled out after k frames: all that is asked from then on fails with ENODEV.
 * EMULATED_CAMERA_SILENT=k  after k frames it gives no more, and whoever asks for one waits.
 *
 * It knows what FFmpeg's demuxer asks (libavdevice/v4l2.c). The open device is a file in memory, so that
 * mmap, munmap and poll are the kernel's own. All other paths and files go to the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, STRIDE = 2 * WIDTH, SIZE = STRIDE * HEIGHT, RATE = 25 };
enum { BUFFERS = 32, SPACE = 40 * 4096 }; /* the most that the kernel's drivers give; whole pages */
enum state { IDLE, QUEUED, FILLED, TAKEN };

struct buffer {
  enum state state;
  unsigned sequence; /* of the frame in it */
};

static char device[32] = "/dev/video0";
static unsigned last = UINT32_MAX, silent = UINT32_MAX;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* for what follows */
static int camera = -1, nonblocking, streaming;
static unsigned count, made, taken;
static int64_t start; /* nanoseconds */
static struct buffer buffers[BUFFERS];

__attribute__((constructor)) static void configure(void) {
  const char *number = getenv("EMULATED_CAMERA"), *frames = getenv("EMULATED_CAMERA_LAST"),
             *heard = getenv("EMULATED_CAMERA_SILENT");
  if (number) snprintf(device, sizeof device, "/dev/video%s", number);
  if (frames) last = strtoul(frames, NULL, 10);
  if (heard) silent = strtoul(heard, NULL, 10);
}

static int failed(int error) {
  errno = error;
  return -1;
}

/* A yellow disc over a grey gradient; it goes four pixels to the right a frame, and starts again after 60. */
static void paint(unsigned sequence, off_t offset) {
  static uint8_t picture[SIZE];
  int centre = 40 + 4 * (sequence % 60);
  for (int y = 0; y < HEIGHT; ++y) {
    for (int x = 0; x < WIDTH; ++x) {
      int disc = (x - centre) * (x - centre) + (y - 120) * (y - 120) < 24 * 24;
      uint8_t* pixel = picture + y * STRIDE + 2 * x;
      pixel[0] = disc ? 210 : 40 + x / 2;
      pixel[1] = !disc ? 128 : x % 2 ? 146 : 16; /* Cb of even, Cr of odd pixels */
    }
  }
  if (pwrite(camera, picture, SIZE, offset) != SIZE) abort();
}

static int64_t due(unsigned sequence) {
  return start + (sequence + 1) * (INT64_C(1000000000) / RATE);
}

static struct buffer* oldest(enum state state) {
  struct buffer* found = NULL;
  for (struct buffer* buffer = buffers; buffer < buffers + count; ++buffer) {
    if (buffer->state == state && (!found || buffer->sequence < found->sequence)) found = buffer;
  }
  return found;
}

/* What the sensor did up to now: a frame that finds no queued buffer is lost. */
static void catch_up(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  for (; streaming && due(made) <= now.tv_sec * INT64_C(1000000000) + now.tv_nsec; ++made) {
    struct buffer* buffer = oldest(QUEUED);
    if (!buffer) continue;
    paint(made, (off_t)(buffer - buffers) * SPACE);
    *buffer = (struct buffer){FILLED, made};
  }
}

static void describe(struct v4l2_buffer* out) {
  const struct buffer* buffer = &buffers[out->index];
  int64_t microseconds = due(buffer->sequence) / 1000;
  out->length = out->bytesused = SIZE;
  out->m.offset = out->index * SPACE;
  out->field = V4L2_FIELD_NONE;
  out->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
  out->sequence = buffer->sequence;
  out->timestamp = (struct timeval){microseconds / 1000000, microseconds % 1000000};
}

static int take(struct v4l2_buffer* out) {
  struct buffer* buffer;
  if (!streaming) return failed(EINVAL);
  while (catch_up(), taken >= silent || !(buffer = oldest(FILLED))) {
    if (nonblocking) return failed(EAGAIN);
    struct timespec until = {due(made) / 1000000000, due(made) % 1000000000};
    pthread_mutex_unlock(&mutex);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    pthread_mutex_lock(&mutex);
  }
  ++taken;
  buffer->state = TAKEN;
  out->index = buffer - buffers;
  describe(out);
  return 0;
}

static int answer(unsigned long request, void* argument) {
  struct v4l2_buffer* buffer = argument;
  if (request == VIDIOC_QBUF && buffer->index < count) {
    catch_up();
    buffers[buffer->index].state = QUEUED;
  }
  if (taken >= last) return failed(ENODEV);
  switch (request) {
    case VIDIOC_QUERYCAP: {
      __u32 capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
      *(struct v4l2_capability*)argument = (struct v4l2_capability){
          .driver = "emulated",
          .card = "Emulated camera",
          .bus_info = "test",
          .capabilities = capabilities | V4L2_CAP_DEVICE_CAPS,
          .device_caps = capabilities,
      };
      return 0;
    }
    case VIDIOC_ENUMINPUT: {
      struct v4l2_input* input = argument;
      if (input->index) return failed(EINVAL);
      *input = (struct v4l2_input){.name = "Camera 1", .type = V4L2_INPUT_TYPE_CAMERA};
      return 0;
    }
    case VIDIOC_G_INPUT:
      *(int*)argument = 0;
      return 0;
    case VIDIOC_S_INPUT:
      return *(int*)argument ? failed(EINVAL) : 0;
    case VIDIOC_G_FMT:
    case VIDIOC_TRY_FMT:
    case VIDIOC_S_FMT: /* whatever was wanted, as drivers do */
      ((struct v4l2_format*)argument)->fmt.pix = (struct v4l2_pix_format){
          .width = WIDTH,
          .height = HEIGHT,
          .pixelformat = V4L2_PIX_FMT_YUYV,
          .field = V4L2_FIELD_NONE,
          .bytesperline = STRIDE,
          .sizeimage = SIZE,
          .colorspace = V4L2_COLORSPACE_SRGB,
      };
      return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
      ((struct v4l2_streamparm*)argument)->parm.capture = (struct v4l2_captureparm){
          .capability = V4L2_CAP_TIMEPERFRAME,
          .timeperframe = {1, RATE},
          .readbuffers = 2,
      };
      return 0;
    case VIDIOC_REQBUFS: {
      struct v4l2_requestbuffers* wanted = argument;
      count = wanted->count = wanted->count < BUFFERS ? wanted->count : BUFFERS;
      return ftruncate(camera, (off_t)count * SPACE);
    }
    case VIDIOC_QUERYBUF:
    case VIDIOC_QBUF:
      if (buffer->index >= count) return failed(EINVAL);
      describe(buffer);
      return 0;
    case VIDIOC_DQBUF:
      return take(buffer);
    case VIDIOC_STREAMON: {
      struct timespec now;
      clock_gettime(CLOCK_MONOTONIC, &now);
      start = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
      streaming = 1;
      return 0;
    }
    case VIDIOC_STREAMOFF:
      streaming = 0;
      return 0;
    default: /* no television standards, no controls */
      return failed(ENOTTY);
  }
}

static int open_camera(int flags) {
  pthread_mutex_lock(&mutex);
  int busy = camera >= 0;
  if (!busy) {
    camera = syscall(SYS_memfd_create, "camera", 0);
    nonblocking = flags & O_NONBLOCK;
    streaming = count = made = taken = 0;
    memset(buffers, 0, sizeof buffers);
  }
  pthread_mutex_unlock(&mutex);
  return busy ? failed(EBUSY) : camera;
}

/* In place of the C library's; a structure of stat is the kernel's on x86-64. */

static const char* visible(const char* path) {
  return strcmp(path, device) ? path : "/dev/null";
}

int stat(const char* path, void* out) {
  return syscall(SYS_stat, visible(path), out);
}
int stat64(const char* path, void* out) {
  return stat(path, out);
}
int __xstat(int version, const char* path, void* out) {
  return (void)version, stat(path, out);
}
int __xstat64(int version, const char* path, void* out) {
  return (void)version, stat(path, out);
}
int access(const char* path, int mode) {
  return syscall(SYS_access, visible(path), mode);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
  va_end(rest);
  return strcmp(path, device) ? syscall(SYS_open, path, flags, mode) : open_camera(flags);
}

int open64(const char* path, int flags, ...) __attribute__((alias("open"), nonnull(1)));

int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  pthread_mutex_lock(&mutex);
  int ours = fd >= 0 && fd == camera;
  int result = ours ? answer(request, argument) : 0;
  pthread_mutex_unlock(&mutex);
  return ours ? result : syscall(SYS_ioctl, fd, request, argument);
}

int close(int fd) {
  pthread_mutex_lock(&mutex);
  if (fd >= 0 && fd == camera) {
    unsigned held = 0;
    for (unsigned i = 0; i < count; ++i) held += buffers[i].state == TAKEN;
    /* FFmpeg gives them back later all the same, through memory that it has freed by then. */
    if (held) fprintf(stderr, "emulated camera: closed while %u frames are in use\n", held);
    camera = -1;
  }
  pthread_mutex_unlock(&mutex);
  return syscall(SYS_close, fd);
}
