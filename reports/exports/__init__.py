"""Tables for other programs: CSV and XLSX made from one document, so that both hold the same cells."""
