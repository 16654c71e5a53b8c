// How windows cover the grid, and the pieces of work that attention is divided into.
#pragma once

#include <cstdint>
#include <vector>

namespace asam {

// Queries `first .. first + queries - 1`, in reading order, of the window whose real cells are the high x
// wide ones from cell (y, x) of the grid on.
struct WindowPart {
  int64_t y = 0, x = 0, high = 0, wide = 0;
  int64_t first = 0, queries = 0;
};

// All queries of all windows of `window` cells a side on a grid of `grid`, at most `most_queries` a part; the
// parts of a window are nearly equal.
std::vector<WindowPart> window_parts(int64_t grid, int64_t window, int64_t most_queries);

}  // namespace asam
