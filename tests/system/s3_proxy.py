#!/usr/bin/env python3
"""A proxy that goes wrong: stands between bkctl and an S3 server and spoils connections.

    s3_proxy.py PORT SERVER_PORT MODE [CERTIFICATE]

flaky   of six connections in turn one is refused with 503, one is cut in the middle of what goes either way, one has its answer
        thrown away (the request was carried out), the others work for two seconds
hang    takes connections and never answers
tls     speaks TLS with that certificate and key, and forwards
skew    refuses each request as one from the wrong time, by a clock one hour ahead
"""
import email.utils, select, socket, ssl, sys, threading, time

port, server, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def head(c):
    data = b''
    while b'\r\n\r\n' not in data:
        more = c.recv(65536)
        if not more:
            return None
        data += more
    return data


def refuse(c, status, body, headers):
    if head(c) is None:
        return
    c.sendall((f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n{body}').encode())
    # read on, so that the answer is not lost to a reset
    c.settimeout(2)
    try:
        while c.recv(65536):
            pass
    except OSError:
        pass


def forward(c, most, seconds, lose_answer):
    s = socket.create_connection(('127.0.0.1', server))
    end, moved = time.monotonic() + seconds, 0
    while time.monotonic() < end and moved < most:
        ready, _, _ = select.select([c, s], [], [], 0.1)
        for a in ready:
            data = a.recv(65536)
            # TLS may have decoded more than was asked for: select does not see that
            while data and getattr(a, 'pending', int)():
                data += a.recv(a.pending())
            if not data or (lose_answer and a is s):
                s.close()
                return
            (s if a is c else c).sendall(data)
            moved += len(data)
    s.close()


def serve(c, n):
    try:
        if mode == 'tls':
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[4])
            c = context.wrap_socket(c, server_side=True)
            forward(c, 1 << 40, 60, False)
        elif mode == 'hang':
            time.sleep(3600)
        elif mode == 'skew':
            refuse(c, '403 Forbidden', '<Error><Code>RequestTimeTooSkewed</Code></Error>',
                   'Date: %s\r\n' % email.utils.formatdate(time.time() + 3600, usegmt=True))
        elif n % 6 == 1:
            refuse(c, '503 Slow Down', '<Error><Code>SlowDown</Code></Error>', 'Retry-After: 1\r\n')
        else:
            forward(c, 50000 if n % 6 == 3 else 1 << 40, 2 if n % 2 == 0 else 60, n % 6 == 5)
    except OSError:
        pass
    finally:
        c.close()


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('127.0.0.1', port))
listener.listen(64)
n = 0
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection, n), daemon=True).start()
    n += 1
