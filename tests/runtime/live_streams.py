"""Servers of live streams: MPEG-TS over HTTP and H.264 over RTSP, at their own pace."""

from __future__ import annotations

import http.server
import itertools
import re
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Container, Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


class LiveStream:
    """Serves pictures at ``fps``, over and over, until `finish`; ends with the ``with`` block.

    Args:
        scheme: "http" or "rtsp".
        pictures: of sizes that may change in the middle.
        joined: pictures that nobody received before; every tenth can be decoded without those before it.
        stubs: pictures of whose data some bytes arrive.
        last: pictures after which ``ending`` comes by itself.
        ending: "end", as the protocol has it; "drop", a connection that is reset; "stall", silence.

    Attributes:
        sent: pictures so far.
        over_udp: whether an RTSP client asked for UDP.
    """

    def __init__(
        self,
        scheme: str,
        pictures: Iterable[Picture],
        *,
        fps: int = 50,
        joined: int = 0,
        stubs: Container[int] = (),
        last: int | None = None,
        ending: str = "end",
    ) -> None:
        self.pictures, self.fps, self.joined = list(pictures), fps, joined
        self.stubs, self.last, self.ending = stubs, last, ending
        self.sent = 0
        self.over_udp = False
        self.finished, self.closed = threading.Event(), threading.Event()
        handler = {"http": _Http, "rtsp": _Rtsp}[scheme]
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.live = self
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}/live"

    def finish(self) -> None:
        """Let ``ending`` come after the picture that is being sent."""
        self.finished.set()

    def paced(self) -> Iterator[Picture]:
        """The pictures when they are due."""
        for picture in itertools.islice(itertools.cycle(self.pictures), self.last):
            if self.finished.wait(1 / self.fps):
                return
            yield picture
            self.sent += 1

    def __enter__(self) -> LiveStream:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finished.set()
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    live: LiveStream

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a client that has gone."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Http(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        live = self.server.live
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        # FFmpeg knows the end of a stream of unknown length from an empty chunk alone.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for data in _transport_stream(live):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        if live.ending == "end":
            self.wfile.write(b"0\r\n\r\n")
        _leave(live, self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class _Rtsp(socketserver.StreamRequestHandler):
    """What a camera answers (RFC 2326), with RTP between its own words (10.12) and not over UDP."""

    server: _Server

    def handle(self) -> None:
        live = self.server.live
        while request := self._request():
            method, sequence, transport = request
            if method == "SETUP" and "TCP" not in transport:
                live.over_udp = True
                self._answer(sequence, status="461 Unsupported Transport")
            elif method == "SETUP":
                self._answer(sequence, "Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            elif method == "DESCRIBE":
                self._answer(sequence, "Content-Type: application/sdp", body=_DESCRIPTION)
            elif method == "PLAY":
                self._answer(sequence, "Session: 1")
                break
            else:
                self._answer(sequence, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        for packet in _rtp(live):
            self.wfile.write(b"$\x00" + struct.pack("!H", len(packet)) + packet)
        if live.ending == "end":  # RTCP's goodbye (RFC 3550, 6.6)
            self.wfile.write(b"$\x01" + struct.pack("!HBBHI", 8, 0x81, 203, 1, _SOURCE))
        _leave(live, self.connection)

    def _request(self) -> tuple[str, str, str] | None:
        lines = list(iter(lambda: self.rfile.readline().decode().strip(), ""))
        if not lines:
            return None
        fields = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:])}
        return lines[0].split()[0], fields["cseq"], fields.get("transport", "")

    def _answer(self, sequence: str, *fields: str, body: str = "", status: str = "200 OK") -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {sequence}", *fields, f"Content-Length: {len(body)}", "", body]
        self.wfile.write("\r\n".join(lines).encode())


_STUB = 8  # bytes
_SOURCE = 7
_DESCRIPTION = "\r\n".join(
    [
        "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=live", "c=IN IP4 127.0.0.1", "t=0 0", "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1", "a=control:track", "",
    ]
)  # fmt: skip


def _leave(live: LiveStream, connection: socket.socket) -> None:
    if live.ending == "stall":
        live.closed.wait()
    elif live.ending == "drop":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def _encoded(live: LiveStream) -> Iterator[tuple[int, bytes]]:
    """Number and H.264 data of each picture; another size is another encoder's."""
    encoder, size, number = None, None, 0
    for picture in live.paced():
        if encoder is None or picture.shape != size:
            encoder, size = av.CodecContext.create("libx264", "w"), picture.shape
            encoder.height, encoder.width, encoder.pix_fmt = *size[:2], "yuv420p"
            encoder.framerate, encoder.time_base = live.fps, Fraction(1, live.fps)
            encoder.options = {"tune": "zerolatency", "g": "10", "sc_threshold": "0", "threads": "1"}
        for packet in encoder.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            if number >= live.joined:
                yield number, bytes(packet)[:_STUB] if number in live.stubs else bytes(packet)
            number += 1


def _transport_stream(live: LiveStream) -> Iterator[bytes]:
    written = bytearray()

    class Sink:
        def write(self, data: bytes) -> int:
            written.extend(data)
            return len(data)

    with av.open(Sink(), "w", format="mpegts", options={"flush_packets": "1"}) as container:
        stream = container.add_stream("libx264", rate=live.fps)
        stream.height, stream.width, stream.pix_fmt = *live.pictures[0].shape[:2], "yuv420p"
        for number, data in _encoded(live):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, live.fps)
            packet.pts = packet.dts = number
            container.mux(packet)
            yield bytes(written)
            written.clear()
    if written:
        yield bytes(written)


def _rtp(live: LiveStream) -> Iterator[bytes]:
    """RTP packets (RFC 3550, RFC 6184: a NAL unit each); those of a picture share their time."""
    sequence = 0
    for number, data in _encoded(live):
        units = [unit for unit in re.split(b"\x00?\x00\x00\x01", data) if unit]
        for unit in units:
            marker = 0x80 if unit is units[-1] else 0
            time = number * 90_000 // live.fps
            yield struct.pack("!BBHII", 0x80, marker | 96, sequence & 0xFFFF, time, _SOURCE) + unit
            sequence += 1
