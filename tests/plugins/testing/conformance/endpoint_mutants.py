"""Endpoints with one planted fault each."""

import json

from jackfield.errors import RequestError
from jackfield.interfaces.endpoint import Endpoint


class Sound(Endpoint):
    path = "/mine"

    def create(self, serving, config):
        async def app(scope, receive, send):
            await self.answer(serving, scope, receive, send)

        return app

    async def answer(self, serving, scope, receive, send):
        if scope["path"] != "/mine/say":
            return await self.send(send, 404, [b"nothing here"])
        pieces = serving.generate(scope, self.read((await receive())["body"]))
        try:
            first = await anext(pieces)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send(
                {"type": "http.response.body", "body": first.text.encode(), "more_body": True}
            )
            await self.follow(pieces, receive, send)
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self.end(pieces)

    async def follow(self, pieces, receive, send):
        import asyncio

        leaving = asyncio.ensure_future(receive())
        async for piece in pieces:
            await send(
                {"type": "http.response.body", "body": piece.text.encode(), "more_body": True}
            )
            if leaving.done():
                return
        leaving.cancel()

    async def end(self, pieces):
        await pieces.aclose()

    def read(self, body):
        try:
            asked = json.loads(body)
        except ValueError as error:
            raise RequestError(str(error)) from None
        if not isinstance(asked, dict) or not isinstance(asked.get("text"), str):
            raise RequestError("no text")
        return asked["text"]

    async def send(self, send, status, bodies):
        await send({"type": "http.response.start", "status": status, "headers": []})
        for body in bodies:
            await send({"type": "http.response.body", "body": body})


class Rootless(Sound):
    path = "mine"


class Curious(Sound):
    def create(self, serving, config):
        serving.asked.append("already")
        return super().create(serving, config)


class Trusting(Sound):
    def read(self, body):
        return json.loads(body)["text"]


class Greedy(Sound):
    async def answer(self, serving, scope, receive, send):
        scope["path"] = "/mine/say"
        await super().answer(serving, scope, receive, send)


class Hiding(Sound):
    async def answer(self, serving, scope, receive, send):
        try:
            await super().answer(serving, scope, receive, send)
        except RequestError as error:
            if "too long" not in str(error):
                raise
            await self.send(send, 200, [b"well"])


class Deaf(Sound):
    async def follow(self, pieces, receive, send):
        async for piece in pieces:
            await send(
                {"type": "http.response.body", "body": piece.text.encode(), "more_body": True}
            )
