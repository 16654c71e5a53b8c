#include "encoder/windows.h"

#include <algorithm>

namespace asam {

std::vector<WindowPart> window_parts(int64_t grid, int64_t window, int64_t most_queries) {
  std::vector<WindowPart> parts;
  for (int64_t y = 0; y < grid; y += window) {
    for (int64_t x = 0; x < grid; x += window) {
      WindowPart part{.y = y, .x = x, .high = std::min(window, grid - y), .wide = std::min(window, grid - x)};
      const int64_t cells = part.high * part.wide, count = (cells + most_queries - 1) / most_queries;
      for (int64_t i = 0; i < count; ++i) {
        part.first = cells * i / count;
        part.queries = cells * (i + 1) / count - part.first;
        parts.push_back(part);
      }
    }
  }
  return parts;
}

}  // namespace asam
