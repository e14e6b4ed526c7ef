"""An SMTP sink for tests (aiosmtpd): every mail as a file of a Maildir, with faults that a file beside it switches.

usage: mail-sink.py DIR PORT [--cert FILE --key FILE] [--tls] [--auth USER PASSWORD]
With a certificate it offers STARTTLS, with --tls it is TLS from the start. DIR/faults.json, read at every command:
  {"refuse": ["address"], "defer": ["address"], "refuseSender": true, "dataDelayMs": 0, "down": false,
   "answers": {"RCPT": "554 5.7.1 <{address}>: Relay access denied"}, "taken": ["address"]}
"answers" has the answer to the connection ("connect"), to EHLO and HELO ("EHLO"), AUTH, MAIL, RCPT, DATA, and to the mail itself
("message"); {helo} and {address} stand for what the client gave. Those in "taken" are taken by RCPT and "message" all the same.
"""

import argparse
import asyncio
import json
import mailbox
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Sink:
    def __init__(self, folder, tls):
        self.folder = folder
        self.tls = tls
        self.box = mailbox.Maildir(os.path.join(folder, "maildir"), create=True)

    def faults(self):
        try:
            with open(os.path.join(self.folder, "faults.json"), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def answer(self, to, session, address=""):
        text = self.faults().get("answers", {}).get(to)
        if text is None or address in self.faults().get("taken", []):
            return None
        helo = getattr(session, "host_name", None) or ""
        return text.replace("{helo}", helo).replace("{address}", address)

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.faults().get("down"):
            return "421 4.3.2 the sink is down"
        if self.faults().get("refuseSender"):
            return "550 5.7.1 this sender may not send"
        answer = self.answer("MAIL", session, address)
        if answer:
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.faults().get("refuse", []):
            return "550 5.1.1 no such user here"
        if address in self.faults().get("defer", []):
            return "451 4.7.1 greylisted, come back later"
        answer = self.answer("RCPT", session, address)
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        delay = self.faults().get("dataDelayMs", 0)
        if delay:
            await asyncio.sleep(delay / 1000)
        answer = self.answer("message", session, envelope.rcpt_tos[0])
        if answer:
            return answer
        message = mailbox.MaildirMessage(envelope.content)
        message["X-RcptTo"] = ", ".join(envelope.rcpt_tos)
        message["X-MailFrom"] = envelope.mail_from
        message["X-Helo"] = session.host_name
        message["X-Tls"] = "yes" if self.tls or session.ssl else "no"
        self.box.add(message)
        return "250 OK, kept"


class ScriptedSMTP(SMTP):
    """Answers as the faults say, to what aiosmtpd answers by itself."""

    async def push(self, status):
        greeting = None
        if isinstance(status, str) and status.startswith("220 ") and self.session.host_name is None:
            greeting = self.event_handler.answer("connect", self.session)
        await super().push(greeting or status)

    async def scripted(self, to, arg, usual):
        if to == "EHLO":
            self.session.host_name = arg
        answer = self.event_handler.answer(to, self.session)
        if answer is None:
            await usual(arg)
        else:
            await self.push(answer)

    async def smtp_EHLO(self, arg):
        await self.scripted("EHLO", arg, super().smtp_EHLO)

    async def smtp_HELO(self, arg):
        await self.scripted("EHLO", arg, super().smtp_HELO)

    async def smtp_AUTH(self, arg):
        await self.scripted("AUTH", arg, super().smtp_AUTH)

    async def smtp_DATA(self, arg):
        await self.scripted("DATA", arg, super().smtp_DATA)


def protocol(sink, options, context):
    def check(server, session, envelope, mechanism, data):
        user, password = options.auth
        good = isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=good, handled=False)

    start_tls = None if options.tls else context
    auth = {}
    if options.auth:
        auth = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    return ScriptedSMTP(
        sink,
        tls_context=start_tls,
        require_starttls=start_tls is not None,
        enable_SMTPUTF8=True,
        hostname="sink.example.org",
        timeout=30,
        **auth,
    )


async def serve(options):
    context = None
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
    sink = Sink(options.dir, options.tls)
    loop = asyncio.get_running_loop()
    await loop.create_server(
        lambda: protocol(sink, options, context),
        "127.0.0.1",
        options.port,
        ssl=context if options.tls else None,
    )
    print("ready", flush=True)
    # Until whoever started it is gone.
    await loop.run_in_executor(None, sys.stdin.read)


parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("port", type=int)
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--tls", action="store_true")
parser.add_argument("--auth", nargs=2)
asyncio.run(serve(parser.parse_args()))
