"""How the page looks: on a phone, on a screen, on paper. No colour says anything that a mark and a word do not say too."""

from __future__ import annotations

STYLE = """
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem;color:#1c2530;background:#fff;overflow-wrap:anywhere}
h1{margin:0 0 .5rem;line-height:1.2}h2{margin:2rem 0 .4rem;line-height:1.25}h3{margin:1.2rem 0 .3rem;font-size:1rem}p{margin:.4rem 0}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.2rem}td,th{border:1px solid #cbd3da;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:break-word}
th{background:#eef2f5}td:first-child{overflow-wrap:anywhere;min-width:6rem}td.long{overflow-wrap:anywhere;min-width:9.5rem}
code,.mono{font:.86em/1.45 ui-monospace,monospace;background:#eef2f5;padding:0 .2rem}.dim{color:#566}
section.route{border-top:2px solid #cbd3da;margin-top:2rem;padding-top:.2rem}
svg{max-width:100%;height:auto;display:block;margin:.6rem 0}
.shut,.open,.bad,.good{white-space:nowrap;font-weight:600}
.shut{color:#0d6b30}.good{color:#0d6b30}.bad{color:#a31515}
.open{color:#a31515;border:2px dashed #a31515;padding:0 .35rem;border-radius:3px}
.wrong{border-left:5px solid #a31515;padding:.3rem .8rem;background:#fdf1f0;margin:.6rem 0}
.fine{border-left:5px solid #0d6b30;padding:.3rem .8rem;background:#eff8f1;margin:.6rem 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem .9rem;margin:.5rem 0}dt{color:#566}dd{margin:0;min-width:0}
ul{margin:.3rem 0;padding-left:1.2rem}ol.hops{display:none;margin:.5rem 0;padding-left:1.2rem}
@media (max-width:700px){
body{margin:.8rem auto}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.35rem}
svg{display:none}ol.hops{display:block}
table,tbody,tr,td{display:block;width:100%}tr.head{display:none}
tr{border:1px solid #cbd3da;margin:.5rem 0;padding:.2rem .1rem}td{border:0;padding:.12rem .5rem}
td.long,td:first-child{min-width:0}td[data-label]::before{content:attr(data-label) ": ";color:#566}td:empty{display:none}
td:first-child{font-weight:600}
}
@media print{
@page{margin:14mm}body{font-size:10pt;max-width:none;margin:0;padding:0 1px}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
h1,h2,h3,.top{break-after:avoid}tr,dl,svg,.wrong,.fine,.top{break-inside:avoid}tr.head{break-after:avoid}thead{display:table-header-group}
a{color:inherit;text-decoration:none}
}
"""
