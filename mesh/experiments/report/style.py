"""The page's looks: light, dark and on paper."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#667085;--line:#d5dae1;--card:#f6f7f9;
  --baseline:#2563a8;--candidate:#c2540a;--asked:#7a828e;--limit:#b42318;--good:#17703c;--bad:#b42318}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--paper:#14171b;--soft:#98a2b3;--line:#343a43;--card:#1d2127;
  --baseline:#6ea8fe;--candidate:#ff9f5a;--asked:#98a2b3;--limit:#ff7a70;--good:#5bd08a;--bad:#ff7a70}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 60px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 6px}
h2{font-size:1.1rem;margin:34px 0 8px;border-bottom:1px solid var(--line);padding-bottom:4px}
.verdict{background:var(--card);border-left:5px solid var(--soft);padding:12px 16px;margin:18px 0;border-radius:4px}
.verdict.good{border-color:var(--good)}
.verdict.bad{border-color:var(--bad)}
.verdict strong{text-transform:capitalize}
.soft,.none{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;color:var(--soft);font-weight:600;font-size:12px;padding:4px 12px 4px 0;
  border-bottom:1px solid var(--line)}
td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;font-variant-numeric:tabular-nums}
.kept{color:var(--good)}
.violated{color:var(--bad)}
.scroll{overflow-x:auto}
.scroll+.scroll{margin-top:14px}
figure{margin:18px 0;break-inside:avoid}
figcaption{font-weight:600;font-size:14px;margin-bottom:4px}
svg{width:100%;height:auto;display:block}
.grid{stroke:var(--line);stroke-width:.6}
.mark{stroke:var(--soft);stroke-dasharray:2 3}
.tick,.axis{fill:var(--soft);font-size:10.5px}
.mid,.axis{text-anchor:middle}
.end{text-anchor:end}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.dashed{stroke-dasharray:6 4}
.line.baseline{stroke:var(--baseline)}
.line.candidate{stroke:var(--candidate)}
.line.asked{stroke:var(--asked)}
.line.limit{stroke:var(--limit)}
.band{opacity:.18;stroke:none}
.band.baseline{fill:var(--baseline)}
.band.candidate{fill:var(--candidate)}
.legend{margin:4px 0 0;font-size:13px}
.key{margin-right:16px}
.key:before{content:"";display:inline-block;width:14px;height:3px;margin-right:6px;vertical-align:middle;
  background:currentColor}
.key.baseline:before{background:var(--baseline)}
.key.candidate:before{background:var(--candidate)}
.key.asked:before{background:var(--asked)}
.key.limit:before{background:var(--limit)}
pre{background:var(--card);padding:12px 14px;overflow-x:auto;font-size:12.5px;border-radius:4px;white-space:pre-wrap}
@media print{:root{color-scheme:light;--ink:#1b1f24;--paper:#fff;--soft:#4b5563;--line:#d5dae1;--card:#f6f7f9;
  --baseline:#2563a8;--candidate:#c2540a;--asked:#7a828e;--limit:#b42318;--good:#17703c;--bad:#b42318}
  main{max-width:none;padding:0}h2,figcaption{break-after:avoid}tr,.verdict,.legend{break-inside:avoid}
  p{orphans:3;widows:3}pre{font-size:10px}.key:before,.verdict{print-color-adjust:exact}
  .line.candidate{stroke-width:2.4}}
"""
