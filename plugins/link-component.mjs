// Makes components out of core modules: node link-component.mjs WORLD WIT CORE OUT, four arguments for each.
//
// WIT is a file, or a folder whose .wit files are one package and whose deps/*/ are the packages that it uses. The interface types go into the module, then the component is made
// around it; the linker refuses exports whose types do not fit the world. Nothing of the machine gets into the result: the same input gives the same bytes.
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

function witFiles(folder) {
    return readdirSync(folder)
        .filter((name) => name.endsWith('.wit'))
        .sort()
        .map((name) => readFileSync(join(folder, name), 'utf8'));
}

// The linker runs without a file system: one text has to hold it all, the packages used as blocks of their own.
function witText(path) {
    if (!statSync(path).isDirectory()) {
        return readFileSync(path, 'utf8');
    }
    const deps = join(path, 'deps');
    const used = !existsSync(deps) ? [] : readdirSync(deps).sort().map((name) => {
        const text = witFiles(join(deps, name)).join('\n');
        const [, id] = /^package ([^;\s]+);/m.exec(text);
        return `package ${id} {\n${text.replace(/^package [^;]+;/gm, '')}}\n`;
    });
    return [...witFiles(path), ...used].join('\n');
}

const args = process.argv.slice(2);
for (let i = 0; i + 3 < args.length; i += 4) {
    const [world, wit, core, out] = args.slice(i, i + 4);
    try {
        const embedded = await componentEmbed({ binary: readFileSync(core), witSource: witText(wit), world, dummy: false, stringEncoding: 'utf8', metadata: [] });
        writeFileSync(out, await componentNew(embedded, []));
    } catch (e) {
        console.error(`${out}: ${e.payload ?? e.message ?? e}`);
        process.exit(1);
    }
}
