// Pushes pieces of HTML through the sanitizer that JupyterLab has for outputs of a notebook that is not trusted: a JSON
// array of texts on stdin, one on stdout.
import { text } from "node:stream/consumers";

import { Sanitizer } from "@jupyterlab/apputils/lib/sanitizer.js";

const sanitizer = new Sanitizer();
const pages = JSON.parse(await text(process.stdin));
process.stdout.write(JSON.stringify(pages.map((page) => sanitizer.sanitize(page))));
