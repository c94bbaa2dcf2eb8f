"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const data = (id) => JSON.parse(document.getElementById(id)?.textContent || "{}");
  const terms = data("terms");
  const keep = (name, value) => { try { localStorage.setItem(`rollin-${name}`, value); } catch { /* files may have no memory */ } };
  const kept = (name) => { try { return localStorage.getItem(`rollin-${name}`); } catch { return null; } };

  // ---- cells: written in German, read back for sorting and said in English where asked for
  const MONTHS_DE = ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."];
  const MONTHS_EN = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const UNKNOWN = { de: "unbekannt", en: "unknown" };
  const TIED = "\u00a0";
  const swapped = (text) => text.replace(/[.,]/g, (mark) => (mark === "." ? "," : "."));

  const english = (text, form) => {
    if (text === UNKNOWN.de) return UNKNOWN.en;
    if (form === "number" || form === "share") return swapped(text);
    if (form === "euro") return swapped(text).replace(/^(\u2212?)(.*)\u00a0€$/, "$1€$2");
    if (form === "day" || form === "instant") {
      return text.replace(/^(\d\d)\.(\d\d)\.(\d{4})/, (_, day, month, year) => `${Number(day)}${TIED}${MONTHS_EN[month - 1]}${TIED}${year}`);
    }
    if (form === "month") {
      const [month, year] = text.split(TIED);
      return `${MONTHS_EN[MONTHS_DE.indexOf(month)]}${TIED}${year}`;
    }
    return terms[form]?.[text] ?? text;
  };

  // what a cell is sorted by; null comes last
  const plain = (text, form) => {
    if (text === UNKNOWN.de) return null;
    if (form === "number" || form === "share" || form === "euro") {
      return Number(text.replace(/\u2212/, "-").replace(/[.<>€%\s]/g, "").replace(",", "."));
    }
    if (form === "day" || form === "instant") return text.replace(/^(\d\d)\.(\d\d)\.(\d{4})/, "$3-$2-$1");
    if (form === "month") {
      const [month, year] = text.split(TIED);
      return `${year}-${String(MONTHS_DE.indexOf(month) + 1).padStart(2, "0")}`;
    }
    return text;
  };

  const tables = all("table[data-cite]").map((table) => ({
    table,
    heads: all("thead th", table),
    rows: all("tbody tr", table).map((row, place) => {
      row.dataset.row = place;
      return { row, german: null };
    }),
  }));
  const german = (entry) => {
    entry.german ??= Array.from(entry.row.cells, (cell) => cell.textContent.trim());
    return entry.german;
  };
  const place = (cell) => cell.firstElementChild ?? cell;

  // ---- language
  const hovers = all("svg title[data-en]");
  for (const hover of hovers) hover.dataset.de = hover.textContent;
  let language = "de";
  const speak = (wanted) => {
    if (wanted !== "en") wanted = "de";
    if (wanted !== language) {
      for (const { rows, heads } of tables) {
        const forms = heads.map((head) => head.dataset.form);
        for (const entry of rows) {
          const texts = german(entry);
          forms.forEach((form, at) => {
            if (form === "text" && texts[at] !== UNKNOWN.de) return;
            place(entry.row.cells[at]).textContent = wanted === "en" ? english(texts[at], form) : texts[at];
          });
        }
      }
      language = wanted;
    }
    root.lang = language;
    for (const hover of hovers) hover.textContent = hover.dataset[language];
    for (const one of all("[data-label-en]")) one.setAttribute("aria-label", language === "en" ? one.dataset.labelEn : one.dataset.labelDe);
    document.title = document.querySelector("title").dataset[language];
    for (const button of all("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === language));
    document.dispatchEvent(new Event("language"));
  };
  for (const button of all("[data-language]")) {
    button.addEventListener("click", () => { speak(button.dataset.language); keep("language", language); });
  }

  // ---- light and dark
  const dark = matchMedia("(prefers-color-scheme: dark)");
  if (["light", "dark"].includes(kept("theme"))) root.dataset.theme = kept("theme");
  for (const button of all("[data-theme-switch]")) {
    button.addEventListener("click", () => {
      root.dataset.theme = (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
      keep("theme", root.dataset.theme);
    });
  }

  // ---- sorting
  for (const entry of tables) {
    entry.heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of entry.heads) other.setAttribute("aria-sort", other === head ? (down ? "descending" : "ascending") : "none");
        const form = head.dataset.form;
        const order = new Intl.Collator("de", { numeric: true });
        const keys = new Map(entry.rows.map((one) => [one, plain(german(one)[at], form)]));
        entry.rows.sort((one, other) => {
          const a = keys.get(one), b = keys.get(other);
          if (a === null || b === null) return (a === null) - (b === null);
          const sign = typeof a === "number" ? a - b : order.compare(a, b);
          return down ? -sign : sign;
        });
        const body = entry.table.tBodies[0];
        body.append(...entry.rows.map(({ row }) => row));
      });
    });
  }

  // ---- search, filters, download of exactly the shown rows
  for (const controls of all(".controls")) {
    const entry = tables.find(({ table }) => table.id === controls.dataset.for);
    const search = controls.querySelector("[data-search]");
    const count = controls.querySelector("[data-count]");
    const filters = entry.heads.flatMap((head, at) => {
      if (!(head.dataset.form in terms)) return [];
      const values = [...new Set(entry.rows.map((one) => german(one)[at]))].sort(new Intl.Collator("de").compare);
      if (values.length < 2) return [];
      const label = document.createElement("label");
      const select = document.createElement("select");
      label.append(...head.querySelector("button").cloneNode(true).childNodes, select);
      select.append(new Option("", ""), ...values.map((value) => new Option(value, value)));
      select.dataset.column = head.dataset.column;
      controls.querySelector("[data-filters]").append(label);
      return [{ at, select, form: head.dataset.form }];
    });
    const show = () => {
      const wanted = search.value.toLocaleLowerCase("de").split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const one of entry.rows) {
        const texts = german(one);
        const text = (language === "en" ? Array.from(one.row.cells, (cell) => cell.textContent) : texts).join("\u0001").toLocaleLowerCase("de");
        const fits = wanted.every((word) => text.includes(word)) && filters.every(({ at, select }) => !select.value || texts[at] === select.value);
        one.row.hidden = !fits;
        shown += fits;
      }
      count.textContent = count.dataset[language].replace("{n}", shown.toLocaleString(language)).replace("{all}", entry.rows.length.toLocaleString(language));
    };
    search.addEventListener("input", show);
    for (const { select } of filters) select.addEventListener("change", show);
    document.addEventListener("language", () => {
      for (const { select, form } of filters) {
        for (const option of select.options) {
          option.textContent = option.value === "" ? (language === "en" ? "all" : "alle") : language === "en" ? english(option.value, form) : option.value;
        }
      }
      show();
    });
    controls.querySelector("[data-download]").addEventListener("click", () => {
      // as a spreadsheet of the language expects it; days and numbers as programs read them
      const separator = language === "de" ? ";" : ",";
      const cell = (value) => {
        let text = String(value ?? "");
        if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
        return /[",;\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      };
      const forms = entry.heads.map((head) => head.dataset.form);
      const lines = [entry.heads.map((head) => cell(head.innerText.trim()))];
      for (const one of entry.rows) {
        if (one.row.hidden) continue;
        lines.push(german(one).map((text, at) => cell(forms[at] in terms ? (language === "en" ? english(text, forms[at]) : text) : plain(text, forms[at]))));
      }
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(["\ufeff", lines.map((line) => line.join(separator)).join("\r\n"), "\r\n"], { type: "text/csv;charset=utf-8" }));
      link.download = `rollin-${controls.dataset.file}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  // ---- how old it is: what a refused night leaves standing looks no newer than it is
  const age = document.getElementById("age");
  const days = Math.floor((Date.now() - Date.parse(age.dataset.published)) / 86400000);
  document.addEventListener("language", () => {
    age.textContent = days < 1 ? "" : days === 1 ? age.dataset[`${language}One`] : age.dataset[language].replace("{n}", days.toLocaleString(language));
    document.getElementById("age-why").hidden = days < 2;
  });

  for (const element of all("[data-needs-script]")) element.hidden = false;
  speak(kept("language"));
})();
