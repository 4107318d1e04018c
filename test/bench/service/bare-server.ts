// Child of the service benchmark: an HTTP server that has nothing to do. What it takes to answer is the machine's doing. Argument: its socket.
import { createServer } from 'node:http';

createServer((_request, response) => response.setHeader('content-type', 'application/json').end('{"ok":true}')).listen(process.argv[2]);
