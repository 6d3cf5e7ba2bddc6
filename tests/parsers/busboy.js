// Parses a multipart body with busboy, the parser of most Node.js servers.
// Arguments: the content type, the body's file. Prints name, file name, type and content's MD5.
const crypto = require("crypto");
const fs = require("fs");
const busboy = require("busboy");

const [type, path] = process.argv.slice(2);
const md5 = (content) => crypto.createHash("md5").update(content).digest("hex");
const rows = [];
const parser = busboy({ headers: { "content-type": type }, defParamCharset: "utf8" });
parser.on("field", (name, value) => rows.push([name, "-", "-", md5(value)]));
parser.on("file", (name, stream, info) => {
  const sum = crypto.createHash("md5");
  stream.on("data", (piece) => sum.update(piece));
  stream.on("end", () => rows.push([name, info.filename, info.mimeType, sum.digest("hex")]));
});
parser.on("close", () => console.log(rows.map((row) => row.join("\t")).sort().join("\n")));
fs.createReadStream(path).pipe(parser);
