// Node's http and https without the module facade that an import makes: making it asks for every export, WebSocket among them, and so loads
// all of undici (40 ms of processor time, a tenth of a short command).
const http = process.getBuiltinModule('node:http');
const https = process.getBuiltinModule('node:https');

export const { Agent: HttpAgent, request: httpRequest, STATUS_CODES } = http;
export const { Agent: HttpsAgent, request: httpsRequest } = https;
