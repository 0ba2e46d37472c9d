"""A stand-in of a ComfyUI server: the real protocol over real sockets, with faults on demand."""

from tests.support.comfy_server.faults import Faults, OutputFault
from tests.support.comfy_server.recordings import Recording, load_recordings
from tests.support.comfy_server.server import ComfyServer, comfy_server

__all__ = ["ComfyServer", "Faults", "OutputFault", "Recording", "comfy_server", "load_recordings"]
